"""Devices: the mesh and how every array lies on it."""
