// The page's pulse. It tells the kernel that somebody looks, and whoever looks that the kernel lives:
// without a fresh tick the page is dimmed and says so, because old figures must not look like new ones.
const BEAT_MS = 2000;
const LOST_MS = 6000;

function render({ model, el }) {
  const strip = document.createElement("div");
  strip.className = "wb-strip";
  strip.setAttribute("role", "status");
  el.append(strip);
  const panel = () => el.closest(".wb-panel");
  let heard = 0;
  const began = performance.now();

  const show = () => {
    const age = performance.now() - (heard || began);
    const life = age > LOST_MS ? "lost" : heard ? "live" : "wait";
    panel()?.setAttribute("data-life", life);
    strip.textContent = {
      live: "",
      wait: "Connecting to the desk…",
      lost: "NOT LIVE: this page has lost its kernel, and the figures below are old. Reload the page. "
        + "`workbench halt` works without it.",
    }[life];
  };
  let charted = false;
  const beat = () => {
    if (!charted && panel()?.querySelector(".main-svg")) {
      charted = true; // what was sent before there was a chart is lost: ask for it again
      model.set("charted", Date.now());
    }
    model.set("beat", Date.now());
    model.save_changes();
    show();
  };
  const wake = () => {
    if (document.hidden) return;
    if (heard) heard = performance.now(); // a sleeping tab hears nothing: give it a moment
    beat();
  };
  const tick = () => {
    heard = performance.now();
    show();
  };
  model.on("change:tick", tick);
  document.addEventListener("visibilitychange", wake);
  const timer = setInterval(beat, BEAT_MS);
  requestAnimationFrame(beat);
  return () => {
    clearInterval(timer);
    model.off("change:tick", tick);
    document.removeEventListener("visibilitychange", wake);
  };
}

export default { render };
