/* Asks the browser's wallet to sign typed data (EIP-712) and sends the signatures with the form. Nothing is sent to a
   chain from here. */

/* EIP-6963: wallets announce themselves; an older one sits at window.ethereum. */
const announced = [];
addEventListener("eip6963:announceProvider", (event) => announced.push(event.detail.provider));
dispatchEvent(new Event("eip6963:requestProvider"));

const walletHere = () => announced[0] || window.ethereum;

async function accountOf(wallet, form, wanted) {
  const accounts = (await wallet.request({ method: "eth_requestAccounts" })).map((each) => each.toLowerCase());
  if (!wanted) return accounts[0];
  if (!accounts.includes(wanted)) throw new Error(interpolate(gettext("Choose this account in your wallet: %(address)s"), { address: wanted }, true));
  return wanted;
}

/* Wallets refuse typed data of a chain that they do not show. */
async function showChain(wallet, number) {
  const wanted = `0x${Number(number).toString(16)}`;
  if ((await wallet.request({ method: "eth_chainId" })) === wanted) return;
  await wallet.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted }] });
}

async function sign(wallet, address, typed) {
  await showChain(wallet, typed.domain.chainId);
  return wallet.request({ method: "eth_signTypedData_v4", params: [address, JSON.stringify(typed)] });
}

/* The page does not know yet which wallet it will be: what that one signs is asked for first. */
async function connect(wallet, form) {
  const address = await accountOf(wallet, form);
  const answer = await fetch(`${form.dataset.walletLink}?address=${address}`, { headers: { Accept: "application/json" } });
  const asked = await answer.json();
  if (asked.error) throw new Error(asked.error);
  form.elements.address.value = address;
  form.elements.deadline.value = asked.deadline;
  form.elements.signature.value = await sign(wallet, address, asked.typed_data);
}

async function fill(wallet, form) {
  if (form.dataset.walletLink) await connect(wallet, form);
  for (const input of form.querySelectorAll("[data-typed]")) {
    const address = await accountOf(wallet, form, input.dataset.signer);
    input.value = await sign(wallet, address, JSON.parse(input.dataset.typed));
  }
}

/* On the document, because parts of a page are loaded again. */
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-wallet]")) return;
  event.preventDefault();
  const said = form.querySelector("[role=status]");
  const wallet = walletHere();
  said.textContent = wallet
    ? gettext("Confirm in your wallet.")
    : gettext("This browser has no wallet. Use one that has, or sign with cadastre wallet sign.");
  if (wallet) fill(wallet, form).then(() => form.submit(), (error) => { said.textContent = error.message; });
});
