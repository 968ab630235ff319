"""The node: runs pods as processes, as a kubelet runs them as containers. It runs inside `bailie up` only."""
