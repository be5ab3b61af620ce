"""The routes of the OpenAI protocol: requests checked, answers written."""
