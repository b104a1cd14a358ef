"use strict";

// Bouts, frames and the empty parts of a timeline lead to their time in the video.
for (const section of document.querySelectorAll("section.video")) {
  const video = section.querySelector("video");
  if (!video) continue;
  const timeline = section.querySelector(".timeline");

  const goTo = (seconds) => {
    video.currentTime = seconds;
    video.scrollIntoView({ block: "nearest" });
  };

  section.addEventListener("click", (event) => {
    const link = event.target.closest("[data-start]");
    const track = event.target.closest(".track");
    if (link) {
      event.preventDefault();
      goTo(Number(link.dataset.start));
    } else if (track) {
      const box = track.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      goTo(Math.min(Math.max(share, 0), 1) * Number(timeline.dataset.seconds));
    }
  });

  if (timeline) {
    const marks = [...timeline.querySelectorAll(".track")].map((track) => {
      const mark = document.createElement("i");
      mark.className = "now";
      track.append(mark);
      return mark;
    });
    const show = () => {
      const share = Math.min(video.currentTime / Number(timeline.dataset.seconds), 1);
      for (const mark of marks) mark.style.left = `${100 * share}%`;
    };
    for (const name of ["timeupdate", "seeking", "loadedmetadata"]) {
      video.addEventListener(name, show);
    }
    show();
  }

  const unplayable = () => {
    section.querySelector(".unplayable").hidden = false;
  };
  if (video.error) unplayable();
  video.addEventListener("error", unplayable);
}

// The list: which rows are shown, and in which order.
const filters = document.querySelector(".filters");
if (filters) {
  const body = document.querySelector("table.videos tbody");
  const rows = [...body.rows];
  const choices = [...filters.querySelectorAll("[data-filter]")];
  const order = filters.querySelector("[data-order]");
  const names = new Intl.Collator(undefined, { numeric: true });

  const show = () => {
    let count = 0;
    for (const row of rows) {
      row.hidden = !choices.every(
        (choice) =>
          choice.value === "" || row.dataset[choice.dataset.filter].split(" ").includes(choice.value)
      );
      if (!row.hidden) count += 1;
    }
    filters.querySelector(".count").textContent = `${count} of ${rows.length} videos`;
  };

  const sort = () => {
    const number = (row, otherwise) => Number(row.dataset.confidence || otherwise);
    const [keyOf, compare] = {
      least: [(row) => number(row, 2), (first, second) => first - second],
      most: [(row) => number(row, -1), (first, second) => second - first],
      name: [(row) => row.dataset.name, names.compare],
    }[order.value];
    const keyed = rows.map((row) => [keyOf(row), row]);
    // Rows of one rank stay in the order in which they came.
    keyed.sort(([first], [second]) => compare(first, second));
    body.replaceChildren(...keyed.map(([, row]) => row));
  };

  for (const choice of choices) choice.addEventListener("change", show);
  order.addEventListener("change", sort);
  filters.hidden = false;
  // A browser may remember what was chosen before the page was loaded anew.
  if (order.value !== "least") sort();
  show();
}
