"""pydantic-ai: its models for chat completions, the Responses API and Anthropic."""

from cases import MODEL, QUESTION, URL, case
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=f"{URL}/v1", api_key="-")
MODELS = {
    "chat": OpenAIChatModel(MODEL, provider=provider),
    "responses": OpenAIResponsesModel(MODEL, provider=provider),
    "anthropic": AnthropicModel(MODEL, provider=AnthropicProvider(base_url=URL, api_key="-")),
}

for name, model in MODELS.items():

    @case(f"{name}: run")
    def run(model=model):
        told = Agent(model).run_sync(QUESTION)
        return told.output, told.usage().output_tokens
