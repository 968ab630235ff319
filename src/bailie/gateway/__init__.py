"""The data plane: turns routing tables into Envoy's resources and serves them over ADS.

`publisher.Gateway` is what the scheduler's process holds; `envoy` is the process that becomes Envoy.
"""
