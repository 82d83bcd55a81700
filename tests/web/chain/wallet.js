/* A wallet as browsers have them (EIP-1193), which announces itself (EIP-6963). Its key stays with the test. */
(() => {
  const provider = {
    request: async ({ method, params }) => {
      if (method === "eth_requestAccounts") return [await window.walletAddress()];
      if (method === "eth_chainId") return window.walletChain();
      if (method === "eth_signTypedData_v4") return window.walletSign(params[0], params[1]);
      throw new Error(`This wallet does not know ${method}.`);
    },
  };
  const info = { uuid: "6f0f9f4e-2f3f-4f6e-9d3b-0a6f0e5b7c11", name: "Test wallet", rdns: "org.example.wallet", icon: "" };
  const announce = () => dispatchEvent(new CustomEvent("eip6963:announceProvider", { detail: { info, provider } }));
  addEventListener("eip6963:requestProvider", announce);
})();
