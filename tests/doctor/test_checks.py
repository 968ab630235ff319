"""One fact at a time is made wrong; each gives its sentence, with what to do."""

from __future__ import annotations

import dataclasses

import pytest

from bailie.api.kinds import MLOPS_KINDS
from bailie.doctor.checks import examine, healthy
from bailie.doctor.facts import (
    ClaimView,
    Facts,
    InstallationView,
    NamespaceFacts,
    Redirect,
    SeldonOperator,
    Term,
    Thing,
    Unknown,
)
from bailie.doctor.finding import Level
from bailie.scope.claim import Claim

SINCE = "2026-01-01T00:00:00Z"
MINE = ClaimView(Claim("home/one", SINCE, SINCE, 15), fresh=True)
OTHERS = ClaimView(Claim("other/two", SINCE, SINCE, 15), fresh=True)
STALE = ClaimView(Claim("home/one", SINCE, SINCE, 15), fresh=False)
SERVED = {"state": "served", "reason": "Served", "message": ""}
UNREADABLE = Unknown("you may not")

NAMESPACE = NamespaceFacts(
    name="a",
    home="home",
    claim=MINE,
    status=SERVED,
    runtimes=(Thing(name="seldon", ready=True),),
    servers=(Thing(name="mlserver", ready=True, replicas=2),),
    models=(Thing(name="iris", ready=True),),
    pipelines=(Thing(name="choice", ready=True),),
    experiments=(Thing(name="flower", ready=True),),
    term=Term(
        leader="seldon-scheduler-0",
        fresh=True,
        told=True,
        agents={"mlserver": 2},
        published=7,
        acknowledged=7,
    ),
)
HOME = InstallationView(
    home="home", listed=("a",), name="home/one", statuses={"a": SERVED}, leader="operator-0", alive=True
)
FACTS = Facts(
    server="https://api",
    version="v1.36.0",
    kinds={"v1alpha1": tuple(kind.plural for kind in MLOPS_KINDS)},
    installations=(HOME,),
    namespaces=(NAMESPACE,),
)
ELSEWHERE = dataclasses.replace(HOME, statuses={}, listed=("other",))
NOWHERE = {"home": "", "claim": None, "status": {}, "runtimes": (), "servers": (), "term": None}


CENTRAL = {
    "scheduled_from": "mesh",
    "runtimes": (Thing(name="seldon", ready=True, scheduler_namespace="mesh"),),
}


def without_rights(**changes):
    return {"claim": None, "status": {"reason": "NoRights", "message": "no rights"}, **changes}


NAMESPACES = {
    "no such namespace": (
        {"exists": False},
        Level.ERROR,
        "there is no namespace a; home waits for it",
        "create namespace a, or bailie scope remove a --operator-namespace home",
    ),
    "no such namespace in any list": (
        {"exists": False, "home": ""},
        Level.ERROR,
        "there is no namespace a",
        "kubectl create namespace a",
    ),
    "the claim may not be read": (
        {"claim": UNREADABLE},
        Level.UNKNOWN,
        "who serves a: you may not",
        "rights",
    ),
    "foreign claim": (
        {"claim": OTHERS},
        Level.ERROR,
        f"a is served by other/two since {SINCE}; the operator in home has it in its list too",
        "bailie scope remove a --operator-namespace home",
    ),
    "listed, not claimed": (
        {"claim": None, "status": {"reason": "x", "message": "claimed by nobody yet"}},
        Level.ERROR,
        "has a in its list and does not serve it: claimed by nobody yet",
        "findings",
    ),
    "missing RoleBinding": (
        without_rights(),
        Level.ERROR,
        "the operator in home has no rights in a: no RoleBinding gives it a Role that is there",
        "bailie rbac a --operator-namespace home | kubectl apply -f -",
    ),
    "missing verbs": (
        {"missing": ("patch services", "list servers.mlops.seldon.io")},
        Level.ERROR,
        "in a the operator in home may not patch services, list servers.mlops.seldon.io",
        "bailie rbac a",
    ),
    "rights may not be asked for": (
        {"missing": UNREADABLE},
        Level.UNKNOWN,
        "rights in a: you may not",
        "an account that has the rights",
    ),
    "ExternalName redirect": (
        {
            "redirects": (
                Redirect(service="seldon-scheduler", target="seldon-scheduler.mesh.svc.cluster.local"),
            )
        },
        Level.WARNING,
        "a/seldon-scheduler is an ExternalName: it leads to seldon-scheduler.mesh.svc.cluster.local",
        "spec.schedulerNamespace: mesh",
    ),
    "a redirect that was asked for": (
        {
            "redirects": (Redirect(service="seldon-scheduler", target="seldon-scheduler.mesh"),),
            "runtimes": (Thing(name="seldon", ready=True, scheduler_namespace="mesh"),),
        },
        Level.OK,
        "as the SeldonRuntime asks for",
        "",
    ),
    "a redirect to nowhere known": (
        {"redirects": (Redirect(service="seldon-mesh", target="gone"),)},
        Level.WARNING,
        "it leads to gone",
        "spec.schedulerNamespace: NAMESPACE",
    ),
    "Services may not be read": ({"redirects": UNREADABLE}, Level.UNKNOWN, "Services of a", "rights"),
    "a runtime is not ready": (
        {"runtimes": (Thing(name="seldon", ready=False, message="0 of 1 replicas"),)},
        Level.ERROR,
        "SeldonRuntime a/seldon is not ready: 0 of 1 replicas",
        "kubectl describe seldonruntime seldon -n a",
    ),
    "runtimes may not be read": ({"runtimes": UNREADABLE}, Level.UNKNOWN, "SeldonRuntimes of a", "rights"),
    "no scheduler": ({"term": None}, Level.ERROR, "no scheduler leads in a", "seldon-scheduler"),
    "a scheduler that is gone": (
        {"term": Term(leader="seldon-scheduler-0", fresh=False)},
        Level.ERROR,
        "no scheduler leads in a: requests are answered, nothing new is placed",
        "kubectl get pods -n a",
    ),
    "the scheduler may not be read": ({"term": UNREADABLE}, Level.UNKNOWN, "the scheduler in a", "rights"),
    "a scheduler of upstream": (
        {"term": None, "upstream": "it is there"},
        Level.UNKNOWN,
        "Seldon Core's scheduler in a tells the API nothing",
        "",
    ),
    "a scheduler that says nothing": (
        {"term": Term(leader="seldon-scheduler-0", fresh=True)},
        Level.UNKNOWN,
        "says nothing of agents and Envoys",
        "",
    ),
    "agents of a central scheduler away": (
        CENTRAL | {"term": dataclasses.replace(NAMESPACE.term, agents={})},
        Level.ERROR,
        "0 of 2 agents of Server mlserver are connected",
        "kubectl logs -n a",
    ),
    "a central scheduler that leads": (CENTRAL, Level.OK, "seldon-scheduler-0 leads in mesh for a", ""),
    "a central scheduler that is gone": (
        CENTRAL | {"term": None},
        Level.ERROR,
        "no scheduler leads in mesh for a",
        "kubectl get pods -n mesh",
    ),
    "a central scheduler that serves others": (
        CENTRAL | {"term": dataclasses.replace(NAMESPACE.term, serves=False)},
        Level.ERROR,
        "the scheduler in mesh does not serve a, which asks for it",
        "must have a in its spec.servesNamespaces, and one operator both namespaces in its list",
    ),
    "a central scheduler that may not be read": (
        CENTRAL | {"term": UNREADABLE},
        Level.UNKNOWN,
        "the scheduler in mesh for a: you may not",
        "an account that has the rights",
    ),
    "agents away": (
        {"term": dataclasses.replace(NAMESPACE.term, agents={"mlserver": 1})},
        Level.ERROR,
        "1 of 2 agents of Server mlserver are connected",
        "kubectl logs -n a -l seldon-server-name=mlserver -c agent",
    ),
    "an Envoy is behind": (
        {"term": dataclasses.replace(NAMESPACE.term, acknowledged=6)},
        Level.WARNING,
        "Envoy has routes of revision 6, the scheduler is at 7",
        "seldon-envoy",
    ),
    "no routes yet": (
        {"term": dataclasses.replace(NAMESPACE.term, published=0, acknowledged=0)},
        Level.WARNING,
        "the scheduler has sent no routes of a yet",
        "look again",
    ),
    "no Envoy": (
        {"term": dataclasses.replace(NAMESPACE.term, acknowledged=0)},
        Level.WARNING,
        "no Envoy has routes in a",
        "seldon-envoy",
    ),
    "a Server is not ready": (
        {"servers": (Thing(name="mlserver", ready=False, message="1 of 2 replicas are ready"),)},
        Level.ERROR,
        "Server a/mlserver is not ready: 1 of 2 replicas are ready",
        "bailie explain server mlserver",
    ),
    "Servers may not be read": ({"servers": UNREADABLE}, Level.UNKNOWN, "Servers of a", "rights"),
    "a Model is not ready": (
        {"models": (Thing(name="iris", ready=False, message="no server fits"),)},
        Level.ERROR,
        "Model a/iris is not ready: no server fits",
        "bailie explain model iris -n a",
    ),
    "a status of an older generation": (
        {"models": (Thing(name="iris", ready=True, current=False),)},
        Level.ERROR,
        "Model a/iris is not ready: its controller has not reported on it yet",
        "explain",
    ),
    "many Models are not ready": (
        {"models": tuple(Thing(name=f"m{i}", ready=False) for i in range(5))},
        Level.ERROR,
        "2 more Models of a are not ready",
        "bailie get models -n a",
    ),
    "an Experiment is not ready": (
        {"experiments": (Thing(name="flower", ready=False, message="no candidate answers"),)},
        Level.ERROR,
        "Experiment a/flower is not ready: no candidate answers",
        "bailie explain experiment flower -n a",
    ),
    "a Pipeline is not ready": (
        {"pipelines": (Thing(name="choice", ready=False, message="no model of step a"),)},
        Level.ERROR,
        "Pipeline a/choice is not ready: no model of step a",
        "bailie explain pipeline choice -n a",
    ),
    "records of a Pipeline are not written": (
        {"pipelines": (Thing(name="choice", ready=True, concerns=("JournalReady: no broker",)),)},
        Level.WARNING,
        "Pipeline a/choice, JournalReady: no broker",
        "bailie explain pipeline choice -n a",
    ),
    "remotes of a runtime cannot be used": (
        {"runtimes": (Thing(name="seldon", ready=True, concerns=("RemotesUsable: no Secret x",)),)},
        Level.WARNING,
        "SeldonRuntime a/seldon, RemotesUsable: no Secret x",
        "kubectl describe seldonruntime seldon -n a",
    ),
    "a Server asks for something": (
        {"servers": (Thing(name="mlserver", ready=True, replicas=2, concerns=("SchedulerPresent: none",)),)},
        Level.WARNING,
        "Server a/mlserver, SchedulerPresent: none",
        "bailie explain server mlserver -n a",
    ),
    "many Models ask for something": (
        {"models": tuple(Thing(name=f"m{i}", ready=True, concerns=("RolledOut: no",)) for i in range(5))},
        Level.WARNING,
        "2 more conditions of Models of a ask for an action",
        "kubectl describe models -n a",
    ),
    "Models may not be read": ({"models": UNREADABLE}, Level.UNKNOWN, "Models of a", "rights"),
    "Models without a runtime": (
        {"runtimes": ()},
        Level.ERROR,
        "no scheduler serves the 1 Model of a (iris): the namespace has no SeldonRuntime",
        "helm install seldon-core-v2-runtime",
    ),
    "Models in an unserved namespace": (
        {**NOWHERE, "models": tuple(Thing(name=f"m{i}", ready=False) for i in range(4))},
        Level.ERROR,
        "no operator serves the 4 Models of a (m0, m1, m2, …): the namespace is in no operator's list",
        "bailie scope add a --operator-namespace home",
    ),
    "a namespace without anything": ({**NOWHERE, "models": ()}, Level.OK, "no operator serves a", ""),
    "upstream in the namespace": (
        {**NOWHERE, "home": "home", "upstream": "Seldon Core's own operator is at work in it"},
        Level.ERROR,
        "does not serve it: Seldon Core's own operator is at work in it",
        "bailie scope remove a --operator-namespace home, then move the namespace to Bailie: bailie migrate",
    ),
    "Seldon Core's scheduler in the namespace": (
        {**NOWHERE, "upstream_scheduler": "Seldon Core's scheduler of it is there"},
        Level.ERROR,
        "serves the 1 Model of a (iris): Seldon Core's scheduler of it is there, and no operator of Seldon",
        "start that operator again, or move the namespace to Bailie: bailie migrate plan a",
    ),
}
CLUSTERS = {
    "the API is away": (
        {"unreachable": "https://api: refused"},
        Level.ERROR,
        "https://api does not answer: refused",
        "running",
    ),
    "no CRDs": ({"kinds": {}}, Level.ERROR, "serves no kind of mlops.seldon.io", "bailie crds"),
    "a CRD is missing": ({"kinds": {"v1alpha1": ("models",)}}, Level.ERROR, "lacks pipelines", "bailie crds"),
    "kinds unknown": ({"kinds": UNREADABLE}, Level.UNKNOWN, "served kinds: you may not", ""),
    "operators may not be looked for": (
        {"installations": UNREADABLE},
        Level.UNKNOWN,
        "operators could not be looked for",
        "",
    ),
    "an operator that may not be read": (
        {"installations": (InstallationView(home="home", unknown="forbidden"),)},
        Level.UNKNOWN,
        "the operator in home: forbidden",
        "",
    ),
    "an operator that does not run": (
        {"installations": (dataclasses.replace(HOME, alive=False),)},
        Level.ERROR,
        "no operator runs in home",
        "kubectl get deployment,pods -n home",
    ),
    "an operator without rights at home": (
        {"installations": (dataclasses.replace(HOME, alive=False, missing=("update leases",)),)},
        Level.ERROR,
        "the operator in home may not update leases in its own namespace",
        "helm upgrade",
    ),
    "rights at home may not be asked for": (
        {"installations": (dataclasses.replace(HOME, missing=UNREADABLE),)},
        Level.UNKNOWN,
        "the operator's rights in home: you may not",
        "",
    ),
    "nobody may say whether it runs": (
        {"installations": (dataclasses.replace(HOME, alive=None),)},
        Level.UNKNOWN,
        "may not be read here",
        "",
    ),
    "a mistake in the list": (
        {
            "installations": (
                dataclasses.replace(HOME, problems=('namespaces[1]: "a" is in the list already',)),
            )
        },
        Level.ERROR,
        "is in the list already",
        "kubectl edit configmap bailie-scope -n home",
    ),
    "no operator at all": (
        {"installations": ()},
        Level.ERROR,
        "no operator of Bailie's is here",
        "seldon-core-v2-setup",
    ),
    "upstream's only": (
        {"installations": (), "upstream": (SeldonOperator("mesh"),)},
        Level.OK,
        "Seldon Core's own operator is at work in mesh",
        "",
    ),
    "upstream's only, without a ready pod": (
        {"installations": (), "upstream": (SeldonOperator("mesh", ready=False),)},
        Level.WARNING,
        "Seldon Core's own operator in mesh has no ready pod, and acts again as soon as it has one",
        "kubectl describe deployment seldon-v2-controller-manager -n mesh",
    ),
    "upstream's beside ours": (
        {"upstream": (SeldonOperator("mesh"),)},
        Level.WARNING,
        "at work in mesh; it may act where Bailie does",
        "--replicas 0",
    ),
    "upstream's may not be looked for": (
        {"upstream": UNREADABLE},
        Level.UNKNOWN,
        "could not be looked for",
        "",
    ),
}


def found(facts, level, message):
    return next((each for each in examine(facts) if each.level is level and message in each.message), None)


def test_a_healthy_installation_has_nothing_but_good_findings():
    findings = examine(FACTS)
    assert {each.level for each in findings} == {Level.OK}
    checks = "api crds operator claim rights runtime scheduler agents envoy servers models"
    assert " ".join(each.check for each in findings) == f"{checks} pipelines experiments"
    assert healthy(findings)


@pytest.mark.parametrize(("changes", "level", "message", "remedy"), NAMESPACES.values(), ids=NAMESPACES)
def test_namespaces(changes, level, message, remedy):
    facts = dataclasses.replace(FACTS, namespaces=(dataclasses.replace(NAMESPACE, **changes),))
    finding = found(facts, level, message)
    assert finding, [each.message for each in examine(facts)]
    assert remedy in finding.remedy
    assert healthy(examine(facts)) is (level is not Level.ERROR)


@pytest.mark.parametrize(("changes", "level", "message", "remedy"), CLUSTERS.values(), ids=CLUSTERS)
def test_clusters(changes, level, message, remedy):
    facts = dataclasses.replace(FACTS, **changes)
    finding = found(facts, level, message)
    assert finding, [each.message for each in examine(facts)]
    assert remedy in finding.remedy
    assert healthy(examine(facts)) is (level is not Level.ERROR)


def test_an_owner_that_is_gone_is_said_to_be():
    namespace = dataclasses.replace(NAMESPACE, claim=STALE)
    gone = dataclasses.replace(HOME, alive=False)
    facts = dataclasses.replace(FACTS, installations=(gone,), namespaces=(namespace,))
    assert found(
        facts, Level.ERROR, "the claim on a is not renewed: no operator runs in home; running pods go on"
    )


def test_models_that_upstream_may_serve_are_not_called_unserved():
    namespace = dataclasses.replace(NAMESPACE, **NOWHERE, models=(Thing(name="iris", ready=True),))
    facts = dataclasses.replace(
        FACTS, installations=(ELSEWHERE,), upstream=(SeldonOperator("mesh"),), namespaces=(namespace,)
    )
    assert not found(facts, Level.ERROR, "the namespace is in no operator's list")


def test_where_upstream_may_not_be_looked_for_no_second_owner_is_advised():
    namespace = dataclasses.replace(NAMESPACE, **NOWHERE)
    facts = dataclasses.replace(
        FACTS, installations=(ELSEWHERE,), upstream=UNREADABLE, namespaces=(namespace,)
    )
    finding = found(facts, Level.ERROR, "the namespace is in no operator's list")
    assert finding.remedy == (
        "bailie scope add a --operator-namespace home;"
        " not where Seldon Core serves it, which could not be seen"
    )


def test_a_central_scheduler_may_be_upstream_s():
    namespace = dataclasses.replace(NAMESPACE, **CENTRAL | {"term": None})
    facts = dataclasses.replace(FACTS, upstream=(SeldonOperator("mesh"),), namespaces=(namespace,))
    assert found(facts, Level.UNKNOWN, "Seldon Core's scheduler in mesh for a tells the API nothing")


def test_an_operator_of_the_whole_cluster_leaves_nothing_unserved():
    namespace = dataclasses.replace(NAMESPACE, **NOWHERE)
    whole = dataclasses.replace(HOME, listed=None)
    facts = dataclasses.replace(FACTS, installations=(whole,), namespaces=(namespace,))
    assert found(facts, Level.ERROR, "the namespace has no SeldonRuntime")


def test_a_namespace_whose_runtime_has_no_scheduler_needs_none():
    runtime = Thing(name="seldon", ready=True, has_scheduler=False)
    namespace = dataclasses.replace(NAMESPACE, runtimes=(runtime,), term=None)
    assert healthy(examine(dataclasses.replace(FACTS, namespaces=(namespace,))))


def test_a_namespace_whose_runtime_has_no_envoy_needs_none():
    runtime = Thing(name="seldon", ready=True, has_envoy=False)
    term = dataclasses.replace(NAMESPACE.term, acknowledged=0)
    namespace = dataclasses.replace(NAMESPACE, runtimes=(runtime,), term=term)
    findings = examine(dataclasses.replace(FACTS, namespaces=(namespace,)))
    assert {each.level for each in findings} == {Level.OK}


def test_findings_are_plain_data():
    data = examine(FACTS)[0].data()
    assert data["level"] == "ok"
    assert set(data) == {"check", "level", "message", "remedy", "namespace"}


def test_a_server_that_is_not_ready_asks_for_something_else_too():
    server = Thing(name="mlserver", ready=False, message="0 of 1", concerns=("SchedulerPresent: none",))
    namespace = dataclasses.replace(NAMESPACE, servers=(server,))
    found = examine(dataclasses.replace(FACTS, namespaces=(namespace,)))
    assert [each.message for each in found if each.check == "servers"] == [
        "Server a/mlserver is not ready: 0 of 1",
        "Server a/mlserver, SchedulerPresent: none",
    ]


def test_a_model_that_is_not_ready_says_nothing_twice():
    model = Thing(name="iris", ready=False, message="no server fits", concerns=("Scheduled: no server fits",))
    namespace = dataclasses.replace(NAMESPACE, models=(model,))
    found = examine(dataclasses.replace(FACTS, namespaces=(namespace,)))
    assert [each.message for each in found if each.check == "models"] == [
        "Model a/iris is not ready: no server fits"
    ]
