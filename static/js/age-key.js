/* Makes an age key in the browser. Its private part leaves it in one way only: as the file that the person saves. */

import { generateX25519Identity, identityToRecipient } from "../vendor/age/age-encryption/dist/index.js";

function offer(form) {
  const input = form.querySelector("[name=recipient]");
  const save = form.querySelector("[data-age-key-save]");
  const said = form.querySelector("[data-age-key-said]");
  let unsaved = "";
  form.querySelector("[data-age-key-tools]").hidden = false;
  form.querySelector("[data-age-key-make]").addEventListener("click", async () => {
    const identity = await generateX25519Identity();
    const recipient = await identityToRecipient(identity);
    const text = `# created: ${new Date().toISOString()}\n# public key: ${recipient}\n${identity}\n`;
    input.value = unsaved = recipient;
    save.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    save.download = `cadastre-key-${recipient.slice(4, 12)}.txt`;
    save.hidden = false;
    said.textContent = gettext("Made. Download the recovery file and keep it: without it nobody, not even we, can open what you license.");
    save.focus();
  });
  save.addEventListener("click", () => {
    unsaved = "";
    said.textContent = gettext("Saved. Keep the file where you keep passwords.");
  });
  form.addEventListener("submit", (event) => {
    if (unsaved && unsaved === input.value) {
      event.preventDefault();
      said.textContent = gettext("Download the recovery file first: without it you cannot open what you pay for.");
      save.focus();
    }
  });
}

document.querySelectorAll("[data-age-key]").forEach(offer);
