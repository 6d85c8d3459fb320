"""Which devices people see who come by an identity provider for the first time, as the console says and asks it."""

from tests.ui.support import ME, Gateway, Visit
from tests.ui.test_providers import PROVIDER
from ui.pages.identity_providers import IdentityProviders


async def test_newcomers_are_limited_to_groups_and_let_out_again(gateway: Gateway, visit: Visit) -> None:
    limited = {**PROVIDER, "groupIds": ["g1", "gone"]}
    gateway.answers["IdentityProviders"] = {"identityProviders": [limited]}
    gateway.answers["Me"] = {**ME, "me": {**ME["me"], "scopes": ["devices:read", "tenant:read", "tenant:write"]}}  # type: ignore[dict-item]
    gateway.answers["GroupNames"] = {"deviceGroups": {"items": [{"id": "g1", "name": "Site 7"}]}}
    state = visit(IdentityProviders, "/access/identity-providers")
    await state.load()
    words = "becomes Viewer, who sees only the devices of Site 7, a group that is gone."
    assert words in state.providers[0].newcomers_words
    gateway.answers["IdentityProviderUpdate"] = {"identityProviderUpdate": {"id": "i1", "version": 5}}
    form = {"name": "Acme", "secret": "", "domains": "acme.example", "newcomers": "VIEWER"}
    state.write("i1")
    assert (state.is_limited, state.picked) == (True, ["g1"])
    await state.save(form)
    assert gateway.variables("IdentityProviderUpdate")["input"]["groupIds"] == ["g1"]
    state.write("i1")
    state.pick("g1", False)
    await state.save(form)
    assert "at least one group" in state.form_problem
    state.limit(False)
    await state.save(form)
    sent = gateway.variables("IdentityProviderUpdate")["input"]
    assert (sent["allDevices"], "groupIds" in sent) == (True, False)
    state.write("i1")
    state.set_newcomers("")
    await state.save({**form, "newcomers": ""})
    sent = gateway.variables("IdentityProviderUpdate")["input"]
    assert (sent["onlyInvited"], "groupIds" in sent, "allDevices" in sent) == (True, False, False)
    state.write("new")
    assert (state.is_limited, state.picked) == (False, [])
