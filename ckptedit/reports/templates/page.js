"use strict";
document.documentElement.classList.add("js");
const cards = [...document.querySelectorAll(".card")];
const place = (card, at) => {
  card.querySelector(".at").value = at;
  card.style.setProperty("--at", at + "%");
};
for (const card of cards) {
  const range = card.querySelector(".at");
  range.addEventListener("input", () => place(card, range.value));
  for (const swipe of card.querySelectorAll(".swipe")) {
    const follow = (event) => {
      const box = swipe.getBoundingClientRect();
      const at = (100 * (event.clientX - box.left)) / box.width;
      place(card, Math.round(Math.min(100, Math.max(0, at))));
    };
    swipe.addEventListener("pointerdown", (event) => {
      swipe.setPointerCapture(event.pointerId);
      follow(event);
    });
    swipe.addEventListener("pointermove", (event) => event.buttons && follow(event));
  }
}
document.getElementById("all")?.addEventListener("input", (event) => {
  for (const card of cards) place(card, event.target.value);
});
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details")) each.open = true;
});
