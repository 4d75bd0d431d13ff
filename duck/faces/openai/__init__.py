"""What clients of OpenAI's API call: Chat Completions, Models and Responses, with apps in place of models."""
