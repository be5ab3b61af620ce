"""gpu_server as a worker of RunPod Serverless: jobs of the official SDK in, the server's own answers out.

The worker starts the server as a process on 127.0.0.1 and passes jobs on to it, so that jobs are admitted, checked
and answered by the same code as requests, and the SDK's packages need not fit the engine's.
"""
