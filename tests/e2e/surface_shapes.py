"""Holds requests for vectors, rankings, pictures and speech against the types of the SDK of whoever receives them, unknown
fields refused.

Which provider has an SDK of its own is said here once; for the others that is OpenAI's, which they tell their users to
take. A provider that is in no table is no provider whose requests were checked: its test fails.
"""

import inspect
from collections.abc import Callable
from typing import Any, Literal, Required, TypedDict, get_type_hints

import mistralai.client.models as mistral
import pydantic
from cohere.v2.client import V2Client
from google.genai import types as gemini
from groq.types.audio import speech_create_params as groq_speech
from groq.types.audio import transcription_create_params as groq_transcription
from groq.types.audio import translation_create_params as groq_translation
from huggingface_hub.inference._generated.types import FeatureExtractionInput, ImageToImageParameters, TextToImageParameters
from openai.types import (
    embedding_create_params,
    image_create_variation_params,
    image_edit_params,
    image_generate_params,
    moderation_create_params,
)
from openai.types.audio import speech_create_params, transcription_create_params, translation_create_params
from pydantic.alias_generators import to_camel
from shapes import GenerateContent, problems
from together.types import embedding_create_params as together_embedding
from together.types import image_generate_params as together_image
from together.types import rerank_create_params as together_rerank
from together.types.audio import speech_create_params as together_speech

Check = Callable[[dict], list[str]]


def typed(hint: Any) -> Check:
    """By a typed dictionary."""
    return lambda body: list(problems(body, hint))


def by_model(model: type[pydantic.BaseModel]) -> Check:
    """By a pydantic model, whose own answer to unknown fields is to ignore them."""
    names = {field.alias or name for name, field in model.model_fields.items()}

    def check(body: dict) -> list[str]:
        unknown = [f"{name}: unknown to {model.__name__}" for name in body.keys() - names]
        try:
            model.model_validate(body)
        except pydantic.ValidationError as error:
            return unknown + [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return unknown

    return check


def by_call(function: Callable) -> Check:
    """By the parameters of the SDK's own function."""
    parameters = inspect.signature(function).parameters.values()
    needed = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    hints = {name: hint for name, hint in get_type_hints(function).items() if name not in ("return", "request_options")}

    def check(body: dict) -> list[str]:
        unknown = [f"{name}: unknown to {function.__qualname__}" for name in body.keys() - hints.keys()]
        missing = [f"{name}: missing for {function.__qualname__}" for name in needed - body.keys()]
        wrong = [one for name in body.keys() & hints.keys() for one in problems(body[name], hints[name], name)]
        return unknown + missing + wrong

    return check


def strict(name: str, **fields: Any) -> type[pydantic.BaseModel]:
    """A body that an SDK has types for the parts of alone."""
    config = pydantic.ConfigDict(alias_generator=to_camel, extra="forbid")
    return pydantic.create_model(name, __config__=config, **fields)


class Titan(TypedDict, total=False):
    """Amazon's documented body of its second embedding model; InvokeModel takes whatever a model takes."""

    inputText: Required[str]
    dimensions: Literal[256, 512, 1024]
    normalize: bool
    embeddingTypes: list[Literal["float", "binary"]]


class CohereOnBedrock(TypedDict, total=False):
    """The documented body of Cohere's embedding models on Bedrock."""

    texts: Required[list[str]]
    input_type: Required[Literal["search_document", "search_query", "classification", "clustering"]]
    truncate: Literal["NONE", "LEFT", "RIGHT", "START", "END"]
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]]
    output_dimension: Literal[256, 512, 1024, 1536]


def bedrock_vectors(body: dict) -> list[str]:
    return list(problems(body, Titan if "inputText" in body else CohereOnBedrock))


def hugging_face_vectors(body: dict) -> list[str]:
    hints = get_type_hints(FeatureExtractionInput)
    unknown = [f"{name}: unknown to FeatureExtractionInput" for name in body.keys() - hints.keys()]
    return unknown + [one for name in body.keys() & hints.keys() for one in problems(body[name], hints[name], name)]


# The SDK's request type has its config flattened into it on the wire.
GEMINI_REQUEST = strict(
    "EmbedContentRequest",
    model=(str, ...),
    content=(gemini.Content, ...),
    task_type=(str | None, None),
    title=(str | None, None),
    output_dimensionality=(int | None, None),
)
GEMINI_BATCH = strict("BatchEmbedContentsRequest", requests=(list[GEMINI_REQUEST], ...))


VERTEX_TEXT = strict("Instance", content=(str, ...), title=(str | None, None))
# Unlike all else there, it is written with an underscore.
VERTEX_INSTANCE = pydantic.create_model("TextInstance", __base__=VERTEX_TEXT, task_type=(str | None, pydantic.Field(None, alias="task_type")))
VERTEX_PARAMETERS = strict("Parameters", output_dimensionality=(int | None, None), auto_truncate=(bool | None, None))
VERTEX_PREDICT = strict("PredictRequest", instances=(list[VERTEX_INSTANCE], ...), parameters=(VERTEX_PARAMETERS | None, None))
# Settings as the SDK writes them there, which are those of its own type.
VERTEX_CONFIG = strict(
    "EmbedContentConfig",
    **{name: (gemini.EmbedContentConfig.model_fields[name].annotation, None) for name in ("task_type", "title", "output_dimensionality", "auto_truncate")},
)
VERTEX_CONTENT = strict("VertexEmbedContentRequest", content=(gemini.Content, ...), embed_content_config=(VERTEX_CONFIG | None, None))
VERTEX_BATCH = strict("VertexBatchEmbedContentsRequest", requests=(list[VERTEX_CONTENT], ...))

IMAGEN_OUTPUT = strict("OutputOptions", mime_type=(Literal["image/png", "image/jpeg"], ...), compression_quality=(int | None, None))
IMAGEN_PROMPT = strict("ImagePrompt", prompt=(str, ...))
# As the SDK's converter names what its config says.
IMAGEN_PARAMETERS = strict(
    "ImageParameters",
    sample_count=(int | None, None),
    aspect_ratio=(Literal["1:1", "3:4", "4:3", "9:16", "16:9"] | None, None),
    sample_image_size=(Literal["1K", "2K"] | None, None),
    include_rai_reason=(bool | None, None),
    output_options=(IMAGEN_OUTPUT | None, None),
)
IMAGEN = strict("ImagenRequest", instances=(list[IMAGEN_PROMPT], ...), parameters=(IMAGEN_PARAMETERS | None, None))


# The SDK writes it into this type, which has no field for it; what it takes there from users of the Gemini API is this.
SHAPE = strict("ImageConfig", aspect_ratio=(gemini.ImageConfig.model_fields["aspect_ratio"].annotation, None), image_size=(Literal["1K", "2K", "4K"] | None, None))
PAINTING = pydantic.create_model("PaintingConfig", __base__=gemini.GenerationConfig, image_config=(SHAPE | None, None))
PAINT = pydantic.create_model("PaintRequest", __base__=GenerateContent, generation_config=(PAINTING | None, None))


def google_vectors(body: dict) -> list[str]:
    return by_model(VERTEX_PREDICT if "instances" in body else VERTEX_BATCH)(body)


def google_pictures(body: dict) -> list[str]:
    return by_model(IMAGEN if "instances" in body else PAINT)(body)


class TitanText(TypedDict):
    text: Required[str]


class TitanImage(TypedDict, total=False):
    """Amazon's documented settings of its image models."""

    numberOfImages: int
    width: int
    height: int
    quality: Literal["standard", "premium"]
    cfgScale: float
    seed: int


class Canvas(TypedDict, total=False):
    """The documented body of Amazon's image models."""

    taskType: Required[Literal["TEXT_IMAGE"]]
    textToImageParams: Required[TitanText]
    imageGenerationConfig: TitanImage


class TitanVariation(TypedDict, total=False):
    text: str
    negativeText: str
    images: Required[list[str]]
    similarityStrength: float


class CanvasVariation(TypedDict, total=False):
    """The documented body of a variation by Amazon's image models."""

    taskType: Required[Literal["IMAGE_VARIATION"]]
    imageVariationParams: Required[TitanVariation]
    imageGenerationConfig: TitanImage


class StabilityOnBedrock(TypedDict, total=False):
    """The documented body of Stability's image models on Bedrock."""

    prompt: Required[str]
    mode: Literal["text-to-image", "image-to-image"]
    aspect_ratio: Literal["16:9", "1:1", "21:9", "2:3", "3:2", "4:5", "5:4", "9:16", "9:21"]
    negative_prompt: str
    output_format: Literal["jpeg", "png"]
    seed: int


class StabilityEditOnBedrock(TypedDict, total=False):
    """The same where a picture is changed, which demands more."""

    prompt: Required[str]
    mode: Required[Literal["image-to-image"]]
    image: Required[str]
    strength: Required[float]
    negative_prompt: str
    output_format: Literal["jpeg", "png"]
    seed: int


def bedrock_pictures(body: dict) -> list[str]:
    return list(problems(body, Canvas if "taskType" in body else StabilityOnBedrock))


def bedrock_edits(body: dict) -> list[str]:
    return list(problems(body, CanvasVariation if "taskType" in body else StabilityEditOnBedrock))


class CohereRankerOnBedrock(TypedDict, total=False):
    """The documented body of Cohere's rankers on Bedrock."""

    query: Required[str]
    documents: Required[list[str]]
    top_n: int
    api_version: Required[Literal[2]]


class AmazonRanker(TypedDict, total=False):
    """The documented body of Amazon's."""

    query: Required[str]
    documents: Required[list[str]]
    top_n: int


def bedrock_ranks(body: dict) -> list[str]:
    return list(problems(body, CohereRankerOnBedrock if "api_version" in body else AmazonRanker))


class RankingRecord(TypedDict, total=False):
    """A record as the reference of Google's ranking service describes it."""

    id: str
    title: str
    content: str


class RankRequest(TypedDict, total=False):
    """The body that reference describes."""

    model: str
    topN: int
    query: str
    records: Required[list[RankingRecord]]
    ignoreRecordDetailsInResponse: bool
    userLabels: dict[str, str]


class FluxOnFireworks(TypedDict, total=False):
    """The documented body of Fireworks's workflows for FLUX."""

    prompt: Required[str]
    aspect_ratio: Literal["1:1", "21:9", "16:9", "3:2", "5:4", "4:5", "2:3", "9:16", "9:21"]
    guidance_scale: float
    num_inference_steps: int
    seed: int


class XaiPicture(TypedDict):
    url: Required[str]
    type: Required[Literal["image_url"]]


class XaiEdit(TypedDict, total=False):
    """The documented body of xAI's edits, for which OpenAI's SDK is no help."""

    model: Required[str]
    prompt: Required[str]
    image: XaiPicture
    images: list[XaiPicture]
    n: int
    aspect_ratio: Literal["1:1", "3:4", "4:3", "9:16", "16:9", "2:3", "3:2", "1:2", "2:1"]
    response_format: Literal["url", "b64_json"]


def hugging_face_task(parameters: type) -> Check:
    """By the SDK's type of a task's parameters, which stand beside its input."""

    def check(body: dict) -> list[str]:
        hints = get_type_hints(parameters)
        given = body.get("parameters", {})
        unknown = [f"{name}: unknown to {parameters.__name__}" for name in given.keys() - hints.keys()]
        unknown += [f"{name}: unknown to the task" for name in body.keys() - {"inputs", "parameters"}]
        return unknown if isinstance(body.get("inputs"), str) else [*unknown, "inputs: no text"]

    return check


class FluxInput(TypedDict, total=False):
    """The inputs that the model's page on Replicate lists."""

    prompt: Required[str]
    aspect_ratio: Literal["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"]
    num_outputs: int
    seed: int
    output_format: Literal["webp", "jpg", "png"]
    output_quality: int


class KontextInput(TypedDict, total=False):
    """The inputs that the pages of models which change pictures list on Replicate: one has a picture, another a list."""

    prompt: Required[str]
    input_image: str
    image_input: list[str]
    aspect_ratio: Literal["match_input_image", "1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "4:5", "5:4", "21:9", "9:21"]
    seed: int
    output_format: Literal["jpg", "png"]


class ReplicateEdit(TypedDict, total=False):
    version: str
    input: Required[KontextInput]
    stream: bool


class ReplicatePrediction(TypedDict, total=False):
    version: str
    input: Required[FluxInput]
    stream: bool


class NvidiaVectors(embedding_create_params.EmbeddingCreateParams, total=False):
    """OpenAI's, with what NVIDIA's reference adds and demands."""

    input_type: Required[Literal["query", "passage"]]
    truncate: Literal["NONE", "START", "END"]


class JinaRanks(TypedDict, total=False):
    """The documented body of Fireworks's rankings, for which there is no SDK's type."""

    model: Required[str]
    query: Required[str]
    documents: Required[list[str]]
    top_n: int
    return_documents: bool


OPENAI_VECTORS = typed(embedding_create_params.EmbeddingCreateParams)
OPENAI_IMAGES = typed(image_generate_params.ImageGenerateParamsNonStreaming)
OPENAI_EDITS = typed(image_edit_params.ImageEditParamsNonStreaming)
OPENAI_VARIATIONS = typed(image_create_variation_params.ImageCreateVariationParams)
OPENAI_SPEECH = typed(speech_create_params.SpeechCreateParams)
OPENAI_TRANSCRIPTION = typed(transcription_create_params.TranscriptionCreateParamsNonStreaming)
OPENAI_TRANSLATION = typed(translation_create_params.TranslationCreateParams)
OPENAI_MODERATION = typed(moderation_create_params.ModerationCreateParams)

OF_OPENAI = (
    "openai azure-openai azure-foundry xai fireworks openrouter cloudflare databricks deepinfra novita qwen sambanova nebius "
    "vercel github-models venice scaleway"
).split()

# By what clients ask for and who receives it.
CHECKS: dict[str, dict[str, Check]] = {
    "/v1/embeddings": {
        **dict.fromkeys(OF_OPENAI, OPENAI_VECTORS),
        "mistral": by_model(mistral.EmbeddingRequest),
        "together": typed(together_embedding.EmbeddingCreateParams),
        "nvidia-nim": typed(NvidiaVectors),
        "cohere": by_call(V2Client.embed),
        "gemini": by_model(GEMINI_BATCH),
        "vertex-ai": google_vectors,
        "bedrock": bedrock_vectors,
        "hugging-face": hugging_face_vectors,
    },
    "/v1/rerank": {
        "cohere": by_call(V2Client.rerank),
        "together": typed(together_rerank.RerankCreateParams),
        "fireworks": typed(JinaRanks),
        "bedrock": bedrock_ranks,
        "vertex-ai": typed(RankRequest),
        "azure-foundry": by_call(V2Client.rerank),
    },
    "/v1/images/generations": {
        **dict.fromkeys(["openai", "azure-openai", "xai"], OPENAI_IMAGES),
        "together": typed(together_image.ImageGenerateParams),
        "gemini": google_pictures,
        "vertex-ai": google_pictures,
        "bedrock": bedrock_pictures,
        "replicate": typed(ReplicatePrediction),
        "fireworks": typed(FluxOnFireworks),
        "hugging-face": hugging_face_task(TextToImageParameters),
    },
    "/v1/images/edits": {
        **dict.fromkeys(["openai", "azure-openai"], OPENAI_EDITS),
        "xai": typed(XaiEdit),
        "together": typed(together_image.ImageGenerateParams),
        **dict.fromkeys(["gemini", "vertex-ai"], by_model(PAINT)),
        "bedrock": bedrock_edits,
        "replicate": typed(ReplicateEdit),
        "hugging-face": hugging_face_task(ImageToImageParameters),
    },
    "/v1/images/variations": {
        "openai": OPENAI_VARIATIONS,
        **dict.fromkeys(["gemini", "vertex-ai"], by_model(PAINT)),
        "bedrock": bedrock_edits,
    },
    "/v1/audio/speech": {
        **dict.fromkeys(["openai", "azure-openai"], OPENAI_SPEECH),
        "groq": typed(groq_speech.SpeechCreateParams),
        "together": typed(together_speech.SpeechCreateParamsNonStreaming),
        "mistral": by_model(mistral.SpeechRequest),
        **dict.fromkeys(["gemini", "vertex-ai"], by_model(GenerateContent)),
    },
    "/v1/audio/transcriptions": {
        **dict.fromkeys(["openai", "azure-openai", "together", "fireworks"], OPENAI_TRANSCRIPTION),
        **dict.fromkeys(["gemini", "vertex-ai"], by_model(GenerateContent)),
        "groq": typed(groq_transcription.TranscriptionCreateParams),
        "mistral": by_model(mistral.AudioTranscriptionRequest),
    },
    "/v1/audio/translations": {
        **dict.fromkeys(["openai", "azure-openai", "together", "fireworks"], OPENAI_TRANSLATION),
        **dict.fromkeys(["gemini", "vertex-ai"], by_model(GenerateContent)),
        "groq": typed(groq_translation.TranslationCreateParams),
    },
    "/v1/moderations": {
        "openai": OPENAI_MODERATION,
        "mistral": by_model(mistral.ClassificationRequest),
    },
}
