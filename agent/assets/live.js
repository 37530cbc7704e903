// The button "Live": while it is pressed, the lines are asked for again every two seconds.
"use strict";

(() => {
  const INTERVAL_MS = 2000;
  const TIMEOUT_MS = 5000;
  const button = document.getElementById("live");
  const state = document.getElementById("live-state");
  const lines = document.getElementById("lines");
  // The button is not there on older pages: what is older does not change.
  if (!button || !state || !lines) return;

  // The choice stays with the tab, so that a search or a look at a trace does not end it.
  const remember = (isOn) => {
    try {
      sessionStorage.setItem("live", isOn ? "on" : "off");
    } catch {
      // A browser that stores nothing starts each page with the button up.
    }
  };
  const remembered = () => {
    try {
      return sessionStorage.getItem("live") === "on";
    } catch {
      return false;
    }
  };

  let isOn = false;
  let timer = 0;

  // Someone who selects text, or has gone into the table by keyboard, must not lose the place.
  const isInUse = () => {
    const selection = getSelection();
    const isSelecting =
      selection !== null && !selection.isCollapsed && lines.contains(selection.anchorNode);
    return isSelecting || lines.contains(document.activeElement);
  };

  const refresh = async () => {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`the agent answered ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("lines");
    if (!isOn || !fresh || isInUse() || fresh.innerHTML === lines.innerHTML) return;
    lines.replaceChildren(...fresh.childNodes);
  };

  const tick = async () => {
    try {
      // A page that nobody sees asks for nothing.
      if (!document.hidden && !isInUse()) await refresh();
      state.textContent = "";
    } catch {
      state.textContent = isOn ? "The agent does not answer; trying again." : "";
    }
    if (isOn) timer = setTimeout(tick, INTERVAL_MS);
  };

  const turn = (on) => {
    isOn = on;
    button.setAttribute("aria-pressed", String(on));
    clearTimeout(timer);
    state.textContent = "";
    if (on) tick();
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    turn(!isOn);
    remember(isOn);
  });
  if (remembered()) turn(true);
})();
