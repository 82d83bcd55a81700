/* Shows that a browser wallet belongs to the account: the wallet signs typed data, nothing is sent to a chain. */

async function connect(form, said) {
  const [address] = await window.ethereum.request({ method: "eth_requestAccounts" });
  const answer = await fetch(`${form.dataset.wallet}?address=${address}`, { headers: { Accept: "application/json" } });
  const asked = await answer.json();
  if (asked.error) throw new Error(asked.error);
  said.textContent = "Confirm in your wallet.";
  form.elements.signature.value = await window.ethereum.request({
    method: "eth_signTypedData_v4", params: [address, JSON.stringify(asked.typed_data)],
  });
  form.elements.address.value = address.toLowerCase();
  form.elements.deadline.value = asked.deadline;
  form.submit();
}

document.querySelectorAll("[data-wallet]").forEach((form) => {
  const said = form.querySelector("[role=status]");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!window.ethereum) {
      said.textContent = "This browser has no wallet. Install one, or go on letting us sign for you.";
      return;
    }
    connect(form, said).catch((error) => { said.textContent = error.message; });
  });
});
