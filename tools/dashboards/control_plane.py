"""The dashboard of the control plane: who leads, what is not served, and what the processes cost."""

from __future__ import annotations

from dashboards.panels import Board, Selector, graph, number, quantile, rate

N = 'namespace=~"$namespace"'
OURS = 'job=~"seldon-(scheduler|envoy|server|v2-controller-manager)"'

CONTROL_PLANE = Board(
    name="control-plane",
    title="Control plane",
    text="The operator, and the schedulers, agents and Envoys of the namespaces.",
    selectors=(Selector("namespace", "bailie_leader", several=True),),
    rows=(
        (
            "Now",
            (
                number(
                    "Operators that lead",
                    "short",
                    "One in each installation.",
                    'sum(bailie_leader{lease="bailie-operator"})',
                ),
                number("Namespaces served", "short", "", 'sum(bailie_operator_namespaces{state="served"})'),
                number(
                    "Namespaces not served",
                    "short",
                    "`bailie scope list` says why.",
                    'sum(bailie_operator_namespaces{state!="served"})',
                ),
                number("Rights missing", "short", "", "sum(bailie_operator_missing_right) or vector(0)"),
                number(
                    "Schedulers that lead",
                    "short",
                    "One for each namespace.",
                    f'sum(bailie_leader{{{N},lease="seldon-scheduler"}})',
                ),
                number("Agents in session", "short", "", f"sum(bailie_agents_connected{{{N}}})"),
            ),
        ),
        (
            "Leaders and sessions",
            (
                graph(
                    "Leader by namespace",
                    "short",
                    "1 while a scheduler leads there.",
                    (f'max by (namespace) (bailie_leader{{{N},lease="seldon-scheduler"}})', "{{namespace}}"),
                ),
                graph(
                    "Envoys with a scheduler",
                    "short",
                    "",
                    (f"sum by (namespace) (envoy_control_plane_connected_state{{{N}}})", "{{namespace}}"),
                ),
                graph(
                    "Agents in session",
                    "short",
                    "",
                    (f"sum by (namespace) (bailie_agents_connected{{{N}}})", "{{namespace}}"),
                ),
                graph(
                    "Namespaces by state",
                    "short",
                    "Of the operator's list.",
                    ("sum by (state) (bailie_operator_namespaces)", "{{state}}"),
                ),
                graph(
                    "Names on fall-back",
                    "short",
                    "Names that another mesh answers for.",
                    (f"sum by (namespace) (bailie_fallback_names{{{N}}})", "{{namespace}}"),
                ),
                graph(
                    "Pods that give metrics",
                    "short",
                    "",
                    (f"sum by (namespace, job) (up{{{N},{OURS}}})", "{{namespace}} {{job}}"),
                ),
            ),
        ),
        (
            "Work",
            (
                graph(
                    "Reconciliations",
                    "ops",
                    "By how they ended.",
                    (rate("bailie_reconciles_total", "controller, result"), "{{controller}} {{result}}"),
                ),
                graph(
                    "Time of reconciliations",
                    "s",
                    "Of 99 %.",
                    (
                        quantile(0.99, "bailie_reconcile_seconds_bucket", "controller"),
                        "{{controller}}",
                    ),
                ),
                graph(
                    "Keys that wait",
                    "short",
                    "",
                    ("sum by (controller) (bailie_queue_length)", "{{controller}}"),
                ),
                graph(
                    "Lists",
                    "short",
                    "Full lists a minute: informers that lost their watch.",
                    (f"60 * {rate('bailie_informer_lists_total', 'resource')}", "{{resource}}"),
                ),
                graph(
                    "Failures of the API",
                    "short",
                    "Lists and watches a minute that failed.",
                    (
                        f"60 * {rate('bailie_informer_failures_total', 'resource, error')} or vector(0)",
                        "{{resource}} {{error}}",
                    ),
                ),
                graph(
                    "Events dropped",
                    "short",
                    "Kubernetes Events a minute that could not be written.",
                    (f"60 * {rate('bailie_events_dropped_total')}", "events"),
                ),
            ),
        ),
        (
            "Cost",
            (
                graph(
                    "Processors",
                    "short",
                    "Cores in use, by pod of the control plane.",
                    (
                        rate(f"process_cpu_seconds_total{{{OURS}}}", "namespace, pod, container"),
                        "{{namespace}}/{{pod}} {{container}}",
                    ),
                ),
                graph(
                    "Memory",
                    "bytes",
                    "Resident, by pod of the control plane.",
                    (f"process_resident_memory_bytes{{{OURS}}}", "{{namespace}}/{{pod}} {{container}}"),
                ),
                graph(
                    "Memory of Envoys",
                    "bytes",
                    "",
                    (f"envoy_server_memory_physical_size{{{N}}}", "{{namespace}}/{{pod}}"),
                ),
            ),
        ),
    ),
)
