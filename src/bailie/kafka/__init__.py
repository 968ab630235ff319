"""The message broker of a namespace's pipelines: its settings, its topics, and the journal of requests.

Below `pipelinegateway`, which gives records as bytes and never a plan. `settings`, `topics`, `keys` and
`headers` are pure. Modules that import the client library (`client`, `admin`, `journal`) are imported only
where a broker is configured: the library is an extra, `bailie[kafka]`.
"""
