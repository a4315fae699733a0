// The bone in 3D: WebGL 2, parallel projection, so the ruler is true everywhere in the picture.
(() => {
  "use strict";
  document.documentElement.classList.add("scripted");
  const root = document.getElementById("viewer");
  const canvas = root.querySelector("canvas");
  const gl = canvas.getContext("webgl2", { antialias: true });
  if (!gl) return; // the pictures below remain
  root.hidden = false;

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const surfaces = JSON.parse(document.getElementById("scene-data").textContent).map((item) => {
    const steps = new Uint16Array(bytes(item.positions).buffer);
    const faces = item.wide ? new Uint32Array(bytes(item.faces).buffer) : new Uint16Array(bytes(item.faces).buffer);
    const points = new Float32Array(steps.length);
    for (let k = 0; k < steps.length; k += 1) points[k] = item.low[k % 3] + steps[k] * item.step[k % 3];
    return { label: item.label, colour: item.colour.map((part) => part / 255), through: item.through, flat: item.flat, points, faces, shown: true };
  });

  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (const { points } of surfaces) {
    for (let k = 0; k < points.length; k += 1) {
      low[k % 3] = Math.min(low[k % 3], points[k]);
      high[k % 3] = Math.max(high[k % 3], points[k]);
    }
  }
  const centre = low.map((value, k) => (value + high[k]) / 2);
  const diagonal = Math.hypot(...low.map((value, k) => high[k] - value)) || 1;

  const normalsOf = (points, faces) => {
    const normals = new Float32Array(points.length); // sums of the triangles' normals, weighted by area
    for (let k = 0; k < faces.length; k += 3) {
      const [a, b, c] = [faces[k] * 3, faces[k + 1] * 3, faces[k + 2] * 3];
      const [ux, uy, uz] = [points[b] - points[a], points[b + 1] - points[a + 1], points[b + 2] - points[a + 2]];
      const [vx, vy, vz] = [points[c] - points[a], points[c + 1] - points[a + 1], points[c + 2] - points[a + 2]];
      const normal = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let i = 0; i < 3; i += 1) normals[corner + i] += normal[i];
    }
    return normals;
  };

  const compile = (kind, text) => {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    return shader;
  };
  const program = gl.createProgram();
  gl.attachShader(program, compile(gl.VERTEX_SHADER, `#version 300 es
    in vec3 point; in vec3 normal; out vec3 facing;
    uniform mat3 turn; uniform vec3 centre; uniform vec3 scale;
    void main() {
      facing = turn * normal;
      gl_Position = vec4(turn * (point - centre) * scale, 1.0);
    }`));
  gl.attachShader(program, compile(gl.FRAGMENT_SHADER, `#version 300 es
    precision highp float;
    in vec3 facing; out vec4 paint;
    uniform vec4 colour; uniform float flat_;
    void main() {
      vec3 n = normalize(facing);
      if (n.z < 0.0) n = -n;
      float main_ = max(dot(n, normalize(vec3(-0.52, 0.58, 0.63))), 0.0);
      float fill = max(dot(n, normalize(vec3(0.78, 0.05, 0.62))), 0.0);
      float rim = smoothstep(0.0, 0.45, n.z);
      float light = mix((0.16 + 0.74 * main_ + 0.2 * fill) * mix(0.55, 1.0, rim), 1.0, flat_);
      paint = vec4(pow(pow(colour.rgb, vec3(2.2)) * light, vec3(1.0 / 2.2)), 1.0) * colour.a;
    }`));
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) { root.hidden = true; return; }
  gl.useProgram(program);
  const place = Object.fromEntries(["turn", "centre", "scale", "colour", "flat_"].map((name) => [name, gl.getUniformLocation(program, name)]));

  for (const surface of surfaces) {
    surface.state = gl.createVertexArray();
    gl.bindVertexArray(surface.state);
    for (const [name, values] of [["point", surface.points], ["normal", normalsOf(surface.points, surface.faces)]]) {
      const at = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 3, gl.FLOAT, false, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, surface.faces, gl.STATIC_DRAW);
    surface.count = surface.faces.length;
    surface.kind = surface.faces instanceof Uint32Array ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT;
    surface.points = surface.faces = null; // on the graphics card now
  }

  // the viewer walks around the patient: degrees from the front towards the patient's left, and up
  const home = { around: 25, above: 8, zoom: 1 };
  const look = { ...home };
  const looks = { front: [0, 0], back: [180, 0], left: [90, 0], right: [-90, 0] };
  const axes = () => {
    const [a, b] = [(look.around * Math.PI) / 180, (look.above * Math.PI) / 180];
    const right = [Math.cos(a), Math.sin(a), 0];
    const towards = [Math.cos(b) * Math.sin(a), -Math.cos(b) * Math.cos(a), Math.sin(b)];
    const up = [towards[1] * right[2] - towards[2] * right[1], towards[2] * right[0] - towards[0] * right[2], towards[0] * right[1] - towards[1] * right[0]];
    return [right, up, towards];
  };

  const letters = root.querySelector(".axes");
  const marks = [["L", [1, 0, 0]], ["R", [-1, 0, 0]], ["P", [0, 1, 0]], ["A", [0, -1, 0]], ["H", [0, 0, 1]], ["F", [0, 0, -1]]].map(([letter, vector]) => {
    const mark = document.createElement("span");
    mark.textContent = letter;
    letters.append(mark);
    return [mark, vector];
  });
  const ruler = root.querySelector(".ruler");
  const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];

  let waiting = false;
  const draw = () => {
    waiting = false;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const [right, up, towards] = axes();
    // as large as fits from every side, so that turning does not change the scale
    const fit = 0.92 * Math.min(width / (Math.hypot(high[0] - low[0], high[1] - low[1]) || 1), height / (high[2] - low[2] || 1));
    const pixels = fit * look.zoom; // of the page, a millimetre
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0.047, 0.055, 0.067, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.uniformMatrix3fv(place.turn, false, [0, 1, 2].flatMap((k) => [right[k], up[k], towards[k]]));
    gl.uniform3fv(place.centre, centre);
    gl.uniform3f(place.scale, (2 * pixels) / width, (2 * pixels) / height, -1 / diagonal);
    const paint = (surface, alpha, flat) => {
      gl.uniform4f(place.colour, surface.colour[0], surface.colour[1], surface.colour[2], alpha);
      gl.uniform1f(place.flat_, flat);
      gl.bindVertexArray(surface.state);
      gl.drawElements(gl.TRIANGLES, surface.count, surface.kind, 0);
    };
    gl.disable(gl.BLEND);
    gl.depthFunc(gl.LEQUAL);
    gl.depthMask(true);
    surfaces.filter((item) => item.shown && !item.through).forEach((item) => paint(item, 1, 0));
    const frames = surfaces.filter((item) => item.shown && item.through);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.depthMask(false);
    gl.depthFunc(gl.GREATER);
    frames.forEach((item) => paint(item, item.through, item.flat)); // what the bone hides shines through
    gl.depthFunc(gl.LEQUAL);
    gl.depthMask(true);
    frames.forEach((item) => paint(item, 1, item.flat));

    for (const [mark, vector] of marks) {
      mark.style.left = `${54 + 34 * dot(vector, right)}px`;
      mark.style.top = `${height - 54 - 34 * dot(vector, up)}px`;
      mark.style.opacity = Math.hypot(dot(vector, right), dot(vector, up)) < 0.35 ? 0 : dot(vector, towards) < -0.3 ? 0.45 : 1;
    }
    const length = [200, 100, 50, 20, 10, 5, 2, 1].find((mm) => mm * pixels <= width * 0.25) || 1;
    ruler.style.width = `${length * pixels}px`;
    ruler.firstElementChild.textContent = length >= 10 ? `${length / 10} cm` : `${length} mm`;
  };
  const redraw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  };
  const turn = (around, above) => {
    look.around += around;
    look.above = Math.max(-90, Math.min(90, look.above + above));
    redraw();
  };
  const zoom = (factor) => {
    look.zoom = Math.max(0.4, Math.min(20, look.zoom * factor));
    redraw();
  };

  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last || !event.buttons) return;
    turn(-(event.clientX - last[0]) * 0.5, (event.clientY - last[1]) * 0.5);
    last = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointerup", () => { last = null; });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // before a click the wheel scrolls the page
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.0012));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => turn(8, 0), ArrowRight: () => turn(-8, 0), ArrowUp: () => turn(0, -8), ArrowDown: () => turn(0, 8),
      "+": () => zoom(1.2), "=": () => zoom(1.2), "-": () => zoom(1 / 1.2), Home: () => { Object.assign(look, home); redraw(); },
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.querySelectorAll("[data-look]").forEach((button) => button.addEventListener("click", () => {
    [look.around, look.above] = looks[button.dataset.look];
    redraw();
  }));

  const toggles = root.querySelector(".toggles");
  for (const label of new Set(surfaces.map((item) => item.label))) {
    const group = surfaces.filter((item) => item.label === label);
    const row = document.createElement("label");
    const box = document.createElement("input");
    const swatch = document.createElement("span");
    box.type = "checkbox";
    box.checked = true;
    swatch.className = "swatch";
    swatch.style.background = `rgb(${group[0].colour.slice(0, 3).map((part) => Math.round(part * 255)).join(" ")})`;
    row.append(box, swatch, label);
    box.addEventListener("change", () => {
      group.forEach((item) => { item.shown = box.checked; });
      redraw();
    });
    toggles.append(row);
  }
  new ResizeObserver(redraw).observe(canvas);
  redraw();
})();
