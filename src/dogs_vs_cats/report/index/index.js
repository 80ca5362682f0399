"use strict";
// Of two chosen recipes, show the photos that one gets right and the other wrong.

const commas = (number) => number.toLocaleString("en");
const photos = (number) => `${commas(number)} ${number === 1 ? "photo" : "photos"}`;

function add(parent, name, text = "") {
  const element = parent.appendChild(document.createElement(name));
  element.textContent = text;
  return element;
}

// A photo, its label, and what the recipes say of it.
function tile(list, data, photo, recipes) {
  const item = add(list, "li");
  item.className = "tile";
  const shots = add(item, "div");
  shots.className = "frame";
  if (photo.picture) {
    const image = add(shots, "img");
    image.src = photo.picture;
    image.alt = `photo ${photo.id}`;
  } else {
    add(shots, "span", `no picture: ${photo.problem}`).className = "gone";
  }
  const text = add(item, "div");
  text.className = "text";
  add(text, "b", photo.id);
  add(text, "div", `labelled ${photo.label}`);
  for (const recipe of recipes) {
    const said = `${data.recipes[recipe]}: ${data.classes[photo.guesses[recipe]]} (${photo.p[recipe]})`;
    add(text, "div", said).className = photo.right[recipe] ? "right" : "wrong";
  }
}

function show(part, data, [one, other]) {
  const both = data.right[one] - data.only[one][other];
  const neither = data.count - data.right[other] - data.only[one][other];
  part.querySelector("[role=status]").textContent = one === other
    ? "Choose two different recipes."
    : `Of ${photos(data.count)}, ${data.recipes[one]} and ${data.recipes[other]} both get ` +
      `${commas(both)} right and ${commas(neither)} wrong; they differ on ` +
      `${commas(data.count - both - neither)}.`;
  const headings = part.querySelectorAll("h4");
  [[one, other], [other, one]].forEach(([right, wrong], index) => {
    const heading = headings[index];
    const count = heading.nextElementSibling;
    const list = count.nextElementSibling;
    const shown = data.photos.filter((photo) => photo.right[right] && !photo.right[wrong]);
    const all = data.only[right][wrong];
    heading.textContent = `${data.recipes[right]} is right, ${data.recipes[wrong]} wrong: ${photos(all)}`;
    count.textContent = shown.length < all ? `Shown: ${commas(shown.length)} of ${commas(all)}.` : "";
    list.replaceChildren();
    shown.forEach((photo) => tile(list, data, photo, [right, wrong]));
    for (const element of [heading, count, list]) element.hidden = one === other;
  });
}

for (const part of document.querySelectorAll(".pair")) {
  const data = JSON.parse(part.querySelector("script").textContent);
  const selects = [...part.querySelectorAll("select")];
  const update = () => show(part, data, selects.map((select) => Number(select.value)));
  selects.forEach((select) => select.addEventListener("change", update));
  update();
}
