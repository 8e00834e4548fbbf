"""Who a connector is and who speaks to it: keys, did:web, tokens, credentials, role accounts."""

from synthema.identity import credentials, statuslist, tokens
from synthema.identity.credentials import VerifiedCredential
from synthema.identity.did import DidResolver, did_document
from synthema.identity.keys import KEY_IDS, FileSigner, SecretSource, Signer, verify_signature
from synthema.identity.parties import Parties
from synthema.identity.passphrase import create_passphrase_file, read_passphrase_file
from synthema.identity.people import ROLES, AccountChange, AccountLog, People, Person, PersonKey
from synthema.identity.rotation import KeyBook
from synthema.identity.statuslist import StatusList, status_entry, status_list_credential
from synthema.identity.tokens import Claims, ReplayStore
from synthema.identity.versions import KeyVersion, current_key, is_key_of, signing_method

__all__ = [
    "KEY_IDS",
    "ROLES",
    "AccountChange",
    "AccountLog",
    "Claims",
    "DidResolver",
    "FileSigner",
    "KeyBook",
    "KeyVersion",
    "Parties",
    "People",
    "Person",
    "PersonKey",
    "ReplayStore",
    "SecretSource",
    "Signer",
    "StatusList",
    "VerifiedCredential",
    "create_passphrase_file",
    "credentials",
    "current_key",
    "did_document",
    "is_key_of",
    "read_passphrase_file",
    "signing_method",
    "status_entry",
    "status_list_credential",
    "statuslist",
    "tokens",
    "verify_signature",
]
