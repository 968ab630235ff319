"""The node: what a kubelet is to containers, for processes. It runs inside `bailie up` and nowhere else."""
