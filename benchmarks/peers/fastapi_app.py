"""FastAPI as its documentation shows it: a pydantic model in, a dictionary out, `async def`."""

from fastapi import FastAPI
from pydantic import BaseModel
from session import open_model

predict = open_model()
app = FastAPI()


class Digit(BaseModel):
    """An image of 784 numbers."""

    image: list[int]


@app.get("/ready")
async def ready():
    """Answer."""
    return {}


@app.post("/predict")
async def predict_digit(digit: Digit):
    """Recognise an image."""
    return {"predictions": [predict(digit.image)]}
