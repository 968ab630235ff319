"""The command `bailie`: for people (`up`, `apply`, `infer`, …) and for pods (`operator`, `scheduler`, …)."""
