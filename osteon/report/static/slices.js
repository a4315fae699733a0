// The slice browser: small slices on a canvas, monitored by the curve and a slider.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");
  const regions = JSON.parse(document.getElementById("slice-data").textContent);
  const minus = (text) => text.replace("-", "\u2212");
  const probability = (value) => (value > 0.99 ? "> 0.99" : value < 0.01 ? "< 0.01" : value.toFixed(2));

  const load = (source) => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    image.src = source;
  });

  // one tile with white lines on black becomes coloured lines on nothing
  const linesOf = (image, [x, y, width, height], colour) => {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, x, y, width, height, 0, 0, width, height);
    const pixels = pen.getImageData(0, 0, width, height);
    for (let k = 0; k < pixels.data.length; k += 4) {
      pixels.data[k + 3] = pixels.data[k];
      for (let part = 0; part < 3; part += 1) pixels.data[k + part] = colour[part];
    }
    pen.putImageData(pixels, 0, 0);
    return canvas;
  };

  const start = async (element) => {
    const data = regions[Number(element.dataset.region)];
    const canvas = element.querySelector("canvas");
    const pen = canvas.getContext("2d");
    const slider = element.querySelector("input[type=range]");
    const readout = element.querySelector(".readout");
    const svg = element.querySelector("svg");
    const cursor = svg.querySelector(".cursor");
    const [low, high, left, right] = ["low", "high", "left", "right"].map((name) => Number(svg.dataset[name]));
    const image = await load(data.image);
    const outline = data.outline ? await load(data.outline) : null;
    const lesions = data.lesions ? await load(data.lesions) : null;
    const shown = (name) => {
      const box = element.querySelector(`[data-toggle=${name}]`);
      return box !== null && box.checked;
    };

    const draw = () => {
      const place = Number(slider.value);
      const [number, position, raw, smoothed, affected, outlined] = data.frames[place];
      const x = (place % data.columns) * data.width;
      const y = Math.floor(place / data.columns) * data.height;
      const tile = [x, y, data.width, data.height];
      pen.drawImage(image, ...tile, 0, 0, canvas.width, canvas.height);
      if (outline && shown("outline")) pen.drawImage(linesOf(outline, tile, [86, 180, 233]), 0, 0, canvas.width, canvas.height);
      if (lesions && shown("boxes")) pen.drawImage(linesOf(lesions, tile, [255, 128, 48]), 0, 0, canvas.width, canvas.height);
      if (shown("boxes")) {
        const scale = canvas.width / data.width;
        for (const [first, last, x0, y0, x1, y1, word] of data.boxes) {
          if (number < first || number > last) continue;
          pen.strokeStyle = pen.fillStyle = "#ff7a33";
          if (lesions) {
            pen.font = "700 20px system-ui, sans-serif";
            pen.fillText(word, x1 * scale + 4, y0 * scale);
            continue;
          }
          pen.lineWidth = 4;
          pen.setLineDash([14, 7]);
          pen.strokeRect(x0 * scale + 2, y0 * scale + 2, (x1 - x0) * scale - 4, (y1 - y0) * scale - 4);
          pen.setLineDash([]);
          pen.font = "600 22px system-ui, sans-serif";
          pen.fillText(word, x0 * scale + 12, y0 * scale + 28);
        }
      }
      const at = left + ((position - low) / (high - low)) * (right - left);
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      const words = `Slice ${number}, position ${minus(position.toFixed(1))} mm`;
      readout.textContent = raw === null ? words : `${words}; ${data.measure} ${probability(raw)}${raw === smoothed ? "" : `, smoothed ${probability(smoothed)}`}`;
      const said = [];
      if (affected) said.push(`Predicted ${data.predicted}`);
      if (outlined) said.push("lesion outlined");
      if (said.length) {
        const mark = document.createElement("b");
        mark.textContent = said.join(", ");
        readout.append(mark);
      }
      slider.setAttribute("aria-valuetext", readout.textContent);
    };

    const seek = (event) => {
      const box = svg.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
      const wanted = low + ((x - left) / (right - left)) * (high - low);
      let best = 0;
      data.frames.forEach((frame, place) => {
        if (Math.abs(frame[1] - wanted) < Math.abs(data.frames[best][1] - wanted)) best = place;
      });
      slider.value = String(best);
      draw();
    };
    svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); seek(event); });
    svg.addEventListener("pointermove", (event) => { if (event.buttons) seek(event); });
    slider.addEventListener("input", draw);
    element.querySelectorAll("[data-toggle]").forEach((box) => box.addEventListener("change", draw));
    draw();
  };
  document.querySelectorAll(".browser").forEach(start);
})();
