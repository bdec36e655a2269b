"""TF-TRT's published integration tests as a yardstick: their graphs, rebuilt, and what TF-TRT made of them.

cases.py says what a case is, families/ holds the graphs, layout.py has the one rule by which engines are compared with
TF-TRT's, worker.py converts and runs them in processes with and without TensorFlow, client.py talks to those processes.
"""
