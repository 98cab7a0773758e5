// The picture as a file, as it stands: SVG for print, PNG at twice its size for slides. The page makes it, no server.

const SCALE = { svg: 1, png: 2 };

function saveButtons(picture) {
  const group = node("div", "em-save");
  for (const kind of Object.keys(SCALE)) {
    const words = `Save this picture as ${kind.toUpperCase()}`;
    const button = node("button", "em-save-as", { type: "button", title: words, "aria-label": words });
    button.textContent = kind.toUpperCase();
    button.addEventListener("click", () => save(picture, kind));
    group.append(button);
  }
  return group;
}

async function save(picture, kind) {
  if (!picture.view) return; // nothing is drawn yet
  const url = await picture.view.toImageURL(kind, SCALE[kind]);
  node("a", "", { href: url, download: `${fileName(JSON.parse(picture.shell).title)}.${kind}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may still be reading
}

function fileName(title) {
  const words = [title?.text ?? title ?? "picture"].flat().join(" ");
  return words.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || "picture";
}
