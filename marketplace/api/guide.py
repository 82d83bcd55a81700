"""What the description of the API says in words: how to begin, what parameters mean, one example of each body.

Addresses, types and statuses are made from the code (`schema.py`); here stands what no type says. A test reads every
example as the type that it is an example of, and finds every parameter and every write described.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DATASET = "31337-5fbdb2315678afecb367f032d93f642f64180aa3-12"
_LICENSE = "31337-cf7ed3acca5a467e9e704c703e8d87f634fb0fc9-5"
_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
_OFFER = "0f4c7d3a9b2e1856c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7"
_SIGNATURE = "0x" + "5a" * 64 + "1b"

INTRODUCTION = """The open register and market for training data: who made it, from what, who may use it, who was paid.

**Begin**: `GET /datasets` needs no key. To buy, make an API key on the site and send it as `Authorization: Bearer …`;
then `POST /quotes`, `POST /orders`, `GET /licenses/{license_id}/bundle`, `POST /usage`.

**Refusals** are problem details (RFC 9457): `code` never changes, `limit` and `actual` are the figures that disagreed,
`todo` says what to do. Another account's object is 404.

**Once**: with `Idempotency-Key` a second try after a lost reply has the same effect and the same answer.

**Money** is a decimal string of base units with its token: `"240000000"` of a token with six decimals is 240.00."""

PARAMETERS: Mapping[str, str] = {
    "act": "Only signatures for this.",
    "address": "The wallet that will sign.",
    "cid": "CID of a block, as packages name it (CIDv1, base32).",
    "cursor": "Where the page before ended; take `next` of an answer as it is.",
    "dataset": f"Id of a dataset: chain, contract, number, such as `{_DATASET}`.",
    "draft": "Id of a draft of your account.",
    "epoch": "Number of an epoch; the first is 1.",
    "file": "Id of an announced file, the last part of its `Location`.",
    "format": "`bundle`: the trail as one file that `cadastre verify` reads.",
    "index": "Index of an entry in the log; the first is 0.",
    "key": "Id of an API key, not its secret.",
    "kind": "What most of the data is.",
    "language": "A BCP 47 tag, such as `en`.",
    "license": "Only reports under this license.",
    "license_id": f"Id of a license: chain, contract, number, such as `{_LICENSE}`.",
    "limit": "How many at most.",
    "match": "Id of a match, as `GET /drafts/{draft}/matches` names it.",
    "max_price": "Only what costs no more, in base units.",
    "name": "`{account}/{dataset}`: the one dataset with this name, also one that it had; stands alone.",
    "order": "Id of an order of your account.",
    "q": "Words that title, creator, names or description contain, all of them; also kinds, uses, `open`, `locked`, "
    "`free`. Plurals find their singular.",
    "quote": "Id of a quote to your account.",
    "recipient": "Another age recipient than the order's, for which a grant was made.",
    "report": "Digest of a usage report of your account.",
    "sha256": "Digest of a document, as chain, log or another document names it.",
    "signature": "Id of a question to a wallet, as `GET /signatures` names it.",
    "sort": "`closest` to the words first (that is `newest` without words), or by `price`, `records`, `title`.",
    "state": "Only those in this state.",
    "subject": "Only entries about this: a dataset, license or account by its CAIP name, or `sha256:` and a manifest.",
    "token": "CAIP-19 id of a token; else the first that the market takes.",
    "type": "Only entries of this type, such as `license.purchased`.",
    "use": "Only what may be used so.",
    "version": "Number of a version; the first is 1.",
    "wallet": "Only questions to this wallet.",
    "visibility": "`open`: readable by anybody; `sealed`: locked until licensed.",
    "Tus-Resumable": "Version of tus that the client speaks.",
    "Upload-Checksum": "`sha256 ` and the base64 digest of this piece; one that does not fit is refused and forgotten.",
    "Upload-Length": "Bytes of the file.",
    "Upload-Metadata": "`path <base64>`, and if known `sha256 <base64 of the hex digest>`, separated by a comma.",
    "Upload-Offset": "Where this piece begins: as many bytes as the site has.",
    "X-HTTP-Method-Override": "`PATCH`.",
}

HEADERS: Mapping[str, str] = {
    "RateLimit-Limit": "Requests allowed in this window.",
    "RateLimit-Remaining": "Requests left in it.",
    "RateLimit-Reset": "Seconds until the next one.",
}

OPERATIONS: Mapping[str, str] = {
    "get_datasets": "Every filter narrows the search. Where words find nothing, `meant` says what was perhaps meant. "
    "What is registered on chain and was never compared with others is not listed, and has an address all the same.",
    "get_datasets_dataset": "Also of a dataset that is not listed here: `checked` is false then.",
    "get_datasets_dataset_offers": "What can be bought now: terms in sentences and as document, the owner's signature.",
    "get_datasets_dataset_trail": "Everything that the log says about it, oldest first, each entry with its index.",
    "post_datasets_dataset_listing": "Send either a state, or what is new about the offer. A new offer is sold once "
    "the owner's key has signed it; licenses that were sold keep their terms.",
    "get_datasets_dataset_blocks_cid": "Hash what you receive: the CID is the name of the bytes.",
    "get_licenses_license_id_blocks_cid": "Ciphertext, for licensees. Hash what you receive.",
    "get_deployment": "What a verifier pins. Keep a copy from an earlier day, or from somebody else.",
    "post_drafts": "An empty object begins a dataset, which `owner`, a connected wallet, may own; `dataset` begins its "
    "next version.",
    "change_drafts_draft": "Any of the fields; `revision` is the one that was read, so that two writers cannot undo "
    "each other. What is missing or in conflict is listed by the review.",
    "delete_drafts_draft": "Before it is registered; what is on chain stays.",
    "post_drafts_draft_files": "Then send the bytes with PATCH to `Location`, in pieces of up to 8 MiB. An interrupted "
    "upload goes on at the offset that HEAD says.",
    "post_drafts_draft_check": "Files are hashed, scanned, fingerprinted and compared with everything registered. "
    "Answers to matches run it again.",
    "get_drafts_draft_review": "Read it before you confirm it: it cannot be taken back.",
    "post_drafts_draft_confirm": "`digest` is the review's: nothing is published that was not shown. The rest happens "
    "without you: the custodial key signs, the register pays the gas. Where the review names wallets, send what they "
    "signed.",
    "post_matches_match_answer": "`built-from`: it becomes a parent, with a license if it is not open. `same-source`: "
    "both come from the same public source, named in `evidence`. `author`: yours, with evidence for a person to judge. "
    "`remove`: its files leave the draft.",
    "post_look_up": "By digest: exact matches. With the file itself: near ones, too; nothing of it is kept. Names "
    "datasets, never files. No match is no proof that a work was never used.",
    "get_quotes": "What owners offered to this account alone: not listed, and nobody else can accept it, here or on "
    "chain. Order one by its id.",
    "get_quotes_quote_offer": "As document, with the owner's signature: what a wallet compares with what it is to "
    "sign.",
    "post_quotes": "Of the current offer, unless `offer` names another. Stands for some minutes and is ordered once. "
    "`units` says what metered use of so many units would cost.",
    "post_orders": "By quote or by offer. The license is active once the payment is final; a failed order costs "
    "nothing, and its cause says why. Over a member's or key's limit it is refused; of a member who needs approval it "
    "waits as `approval`. With `payer` a connected wallet pays: the order waits as `signing` for its signature, and "
    "everybody can see on the chain what it paid.",
    "post_orders_order_approve": "Needs a person of the account, not the one who ordered.",
    "post_orders_order_decline": "The money that was held is free again.",
    "get_licenses_license_id_bundle": "Certificate, terms, proofs and the key grant: with the stored bytes it needs "
    "neither this site nor an account. Before the grant is made, 409 says what it waits for.",
    "post_licenses_license_id_grants": "After a lost key, or for a colleague: the signer encrypts the content key to "
    "another recipient of the same licensee. Nothing is paid again.",
    "post_licenses_license_id_refund": "Within the hold that the offer stated.",
    "post_usage": "`quantity` counts single records, tokens, runs or bytes; the frozen terms say what it costs, the "
    "answer says how much that is. `corrects` replaces an earlier report. Reports are private; the log holds digests. "
    "A report that costs more than the key or member may spend on the use of this license waits as `approval`: it is "
    "not lost, and counts for nothing until somebody lets it enter.",
    "post_usage_report_approve": "Needs a person of the account who may spend as much, and not the member who sent it.",
    "post_usage_report_decline": "Whoever sent it may take it back.",
    "get_earnings": "What is available, pending and paid, and when the next payout comes.",
    "get_settlements_epoch": "Recompute it from chain and documents: `cadastre audit-settlement`.",
    "get_entries": "The log itself is static files below `/log/`, with C2SP checkpoints and tiles.",
    "get_wallets_link": "Sign `typed_data` with the wallet, then send the signature to `POST /wallets`.",
    "post_wallets": "It signs where it is named from then on: as payer of an order, as owner of a draft. Twice is "
    "once. A wallet belongs to one account.",
    "get_signatures": "What no key of the register can sign. Sign `typed_data` as it is (`eth_signTypedData_v4`).",
    "post_signatures_signature": "What waited for it goes on, at the register's expense. Another key's signature, or "
    "one over other data, is refused and changes nothing; the same one twice is one.",
    "post_keys": "Shown once, stored as a digest; a key never does more than you may yourself.",
    "delete_keys_key": "At once.",
    "post_faucet": "On development chains only: play money without any value.",
    "post_withdrawals": "Needs a second factor; an address that was named newly can be used after a delay.",
    "post_uploads_file": "As PATCH.",
    "change_uploads_file": "tus 1.0. 409: it stands at another offset; ask with HEAD and go on there.",
    "delete_uploads_file": "tus termination; while the list of files is open.",
    "head_uploads_file": "`Upload-Offset` says how many bytes are there.",
}

_MONEY = {
    "amount": "240000000",
    "token": "eip155:31337/erc20:0x9fe46736679d2d9a65f0992f2272de9f3c7fa6e0",
    "text": "240.00 tUSD",
}

EXAMPLES: Mapping[str, Any] = {
    "ListingChange": {"price": "260.00"},
    "NewDraft": {},
    "DraftChanges": {
        "revision": 3,
        "title": "Tide-pool photographs",
        "creator": "Ada Fenwick",
        "kind": "image",
        "rights": [{"source": "my own photographs", "basis": "own-work", "sublicensing": True}],
        "price": "240.00",
        "splits": [{"email": "noor@example.org", "bps": 1500, "role": "retouching"}],
    },
    "Confirmation": {"digest": "9a0e6f5c4b3a2918273645546372819f0e1d2c3b4a59687786950a1b2c3d4e5f"},
    "FaucetDraw": {"amount": "1000000000"},
    "NewKey": {"name": "Training cluster", "scopes": ["read", "buy", "use"], "days": 90},
    "NewRecipient": {"recipient": _RECIPIENT},
    "LookUpQuestion": {"sha256": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"},
    "MatchAnswer": {"answer": "same-source", "evidence": "Both are from the public archive of the observatory."},
    "SignatureGiven": {"signature": _SIGNATURE},
    "WalletGiven": {
        "address": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "deadline": 1_796_000_000,
        "signature": _SIGNATURE,
    },
    "OrderWish": {"offer": _OFFER, "recipient": _RECIPIENT},
    "Declining": {"cause": "We have a license for it already."},
    "QuoteWish": {"dataset": _DATASET, "units": 25},
    "UsageGiven": {
        "license": _LICENSE,
        "version": 1,
        "period": {"from": "2026-11-01", "to": "2026-11-30"},
        "use": "fine-tune",
        "quantity": "25000",
        "model": {"id": "shore-net-2"},
        "run": {"id": "run-41"},
    },
    "WithdrawalWish": {"address": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc", "amount": "5000000"},
    "Money": _MONEY,
    "Problem": {
        "type": "/problems/offer.not_live",
        "title": "This offer cannot be accepted.",
        "status": 409,
        "detail": "This offer cannot be accepted. (limit live, actual superseded) Ask for a new quote.",
        "code": "offer.not_live",
        "limit": "live",
        "actual": "superseded",
        "todo": "Ask for a new quote.",
    },
}
