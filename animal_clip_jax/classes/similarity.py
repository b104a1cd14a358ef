"""What an animal does, guessed from what animals with similar texts do."""

import numpy as np

# What is taken over stays below the 1 of what is known, so that both can be told apart.
_MOST_TAKEN_OVER = np.nextafter(np.float32(1), np.float32(0))


def own_edges(relation: np.ndarray) -> np.ndarray:
    """A relation without what was taken over: (actions, animals) float32 of 0 and 1."""
    return (np.asarray(relation) == 1).astype(np.float32)


def with_similar(
    relation: np.ndarray,
    features: np.ndarray,
    sources: np.ndarray,
    source_features: np.ndarray,
    is_same: np.ndarray,
    temperature: float,
) -> np.ndarray:
    """A relation in which animals also have the edges of animals with similar texts.

    In the graph of the training split, an animal that is not in that split does nothing, and the
    model takes it at its word. Here it does what the animals do that it resembles, more or less:

        S = softmax over the sources b other than a of cos(f_a, f_b) / temperature
        R'_ka = max(R_ka, Σ_b S_ab R_kb)

    with f the features of the animals' texts. The sources are animals with edges of their own. What
    an animal is known to do stays 1; what it takes over is below 1. It is no source to itself: it
    resembles itself most, and would never be taken to do what the few clips of it do not show.

    Args:
        relation: R, (actions, animals) of 0 and 1.
        features: of these animals, (animals, embed_dim).
        sources: what the animals do that may be taken over, (actions, sources) of 0 and 1. Those
            without any action are passed over.
        source_features: (sources, embed_dim).
        is_same: bool (animals, sources), whether they are the same animal.
        temperature: above 0. The smaller it is, the more the most similar animal decides.

    Returns:
        R', (actions, animals) float32 in [0, 1]; R where no source does anything.
    """
    relation = np.asarray(relation, np.float32)
    has_edges = np.asarray(sources).any(axis=0)
    if not has_edges.any() or not len(features):
        return relation
    ours, theirs = (
        array / np.linalg.norm(array, axis=1, keepdims=True)
        for array in (
            np.asarray(features, np.float64),
            np.asarray(source_features, np.float64)[has_edges],
        )
    )
    is_other = ~np.asarray(is_same)[:, has_edges]
    logits = np.where(is_other, ours @ theirs.T / temperature, -np.inf)
    # An animal without any other takes over nothing.
    highest = np.max(logits, axis=1, keepdims=True, initial=np.finfo(np.float64).min)
    shares = np.exp(logits - highest)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    taken_over = np.asarray(sources, np.float64)[:, has_edges] @ shares.T
    return np.maximum(relation, np.minimum(taken_over.astype(np.float32), _MOST_TAKEN_OVER))


def said_of(relation: np.ndarray) -> str:
    """What a person should know of a relation after `with_similar`.

    Args:
        relation: (actions, animals).
    """
    heirs = int((~own_edges(relation).any(axis=0) & (relation > 0).any(axis=0)).sum())
    return (
        f"relation graph: {heirs} animals without edges of their own take over those of animals "
        "with similar texts"
    )
