"""A namespace that Seldon Core v2 serves, without its images: its objects, and stand-ins that answer.

    facts = Upstream(models=steady_models(20), pattern=UpstreamPattern.CENTRAL)
    async with upstream_ground(tmp_path, facts) as place:      # embedded API, real processes; all pods ready
        place.admin                                            # a Client as the administrator
        place.inference                                        # `http` and `grpc` of the Service seldon-mesh
        expectations(facts)                                    # a request to each Model, and its answer
        await place.pods()                                     # uid and restarts of each pod, to compare
        async with place.evil_twin(after=2): ...               # a second operator, which puts everything back
        await place.ground.helm("install", "setup", {...}, namespace="bailie-system")      # Bailie beside it

`facts` say what is there; `releases`, `runtime`, `servers` and `resources` are pure and give the manifests
(`releases` by Helm, then the operator's objects with their owners, then the users'). The Service's address is
`seldon-mesh` as a kube-proxy sees it: each connection goes to a ready pod of the selector as it is now.
"""
