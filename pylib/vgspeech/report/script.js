"use strict";
// One sound at a time: clips of the dictionary, and captions whose light moves over the picture.
let stopCurrent = () => {};

function playClip(button) {
  if (button.classList.contains("playing")) return stopCurrent();
  stopCurrent();
  const audio = new Audio(button.dataset.src);
  button.classList.add("playing");
  stopCurrent = () => { audio.pause(); button.classList.remove("playing"); stopCurrent = () => {}; };
  audio.addEventListener("ended", () => stopCurrent());
  audio.play().catch(() => stopCurrent());
}

class Lane {
  constructor(element) {
    this.element = element;
    const { map, h, w, shift, offset, duration } = element.dataset;
    Object.assign(this, { h: +h, w: +w, shift: +shift, offset: +offset, duration: +duration });
    this.map = Uint8Array.from(atob(map), (c) => c.charCodeAt(0));
    this.canvas = element.closest(".scene").querySelector("canvas");
    this.audio = element.querySelector("audio");
    this.now = element.querySelector(".now");
    element.querySelector(".play")?.addEventListener("click", () => this.toggle());
    element.querySelector(".timeline").addEventListener("click", (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      this.play(this.duration * (event.clientX - box.left) / box.width, this.duration);
    });
    for (const panel of element.querySelectorAll(".panel")) {
      panel.addEventListener("click", () => this.play(+panel.dataset.start, +panel.dataset.end));
    }
  }
  toggle() {
    if (this.element.classList.contains("playing")) stopCurrent();
    else this.play(0, this.duration);
  }
  play(start, end) {
    stopCurrent();
    const { audio } = this;
    if (!audio) return this.hold(start, end);
    const head = this.element.querySelector(".head");
    this.element.classList.add("playing"); head.classList.add("playing");
    audio.currentTime = start;
    let frame = 0;
    const step = () => {
      this.draw((audio.currentTime - this.offset) / this.shift);
      this.now.style.left = `${100 * Math.min(1, audio.currentTime / this.duration)}%`;
      if (audio.ended || audio.currentTime >= end) return stopCurrent();
      frame = requestAnimationFrame(step);
    };
    stopCurrent = () => {
      cancelAnimationFrame(frame); audio.pause(); this.clear();
      this.element.classList.remove("playing"); head.classList.remove("playing");
      stopCurrent = () => {};
    };
    audio.play().then(step, () => stopCurrent());
  }
  hold(start, end) {  // no sound: show the middle of the stretch for a moment
    this.draw(((start + end) / 2 - this.offset) / this.shift);
    const timer = setTimeout(() => stopCurrent(), 1500);
    stopCurrent = () => { clearTimeout(timer); this.clear(); stopCurrent = () => {}; };
  }
  draw(position) {  // between two frames, both are mixed
    const cells = this.h * this.w, count = this.map.length / cells;
    const first = Math.max(0, Math.min(count - 1, Math.floor(position)));
    const second = Math.min(count - 1, first + 1), part = Math.max(0, Math.min(1, position - first));
    const small = new OffscreenCanvas(this.w, this.h), pixels = new ImageData(this.w, this.h);
    for (let i = 0; i < cells; i++) {
      const lit = this.map[first * cells + i] * (1 - part) + this.map[second * cells + i] * part;
      pixels.data.set([232, 232, 228, 0.86 * (255 - lit)], 4 * i);
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    const context = this.canvas.getContext("2d"), { width, height } = this.canvas;
    context.clearRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, width, height);
  }
  clear() { this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height); }
}

function dictionary(section) {
  const list = section.querySelector(".entries"), entries = [...list.children];
  const [words, order, sure, shown] =
    ["input[type=search]", "select", "input[type=checkbox]", "output"].map((selector) => section.querySelector(selector));
  const update = () => {
    const wanted = (words?.value ?? "").normalize("NFC").toLowerCase().trim(), key = order.value;
    let visible = 0;
    for (const entry of entries) {
      const hit = entry.dataset.words.includes(wanted) && (!sure.checked || entry.dataset.sure === "1");
      entry.hidden = !hit;
      visible += hit;
    }
    entries.sort((a, b) => key === "words" ? a.dataset.words.localeCompare(b.dataset.words) : a.dataset[key] - b.dataset[key]);
    list.append(...entries);
    shown.value = `${visible} of ${entries.length}`;
  };
  for (const control of [words, order, sure]) control?.addEventListener("input", update);
  update();
}

for (const element of document.querySelectorAll(".lane")) new Lane(element);
for (const button of document.querySelectorAll(".clip")) button.addEventListener("click", () => playClip(button));
for (const section of document.querySelectorAll(".dictionary")) dictionary(section);
