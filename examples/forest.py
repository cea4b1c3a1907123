"""A scikit-learn model that every worker trains at its start.

The file is not called `sklearn.py`: its directory comes first on `sys.path`, and `import sklearn`
would find it instead of the package.
"""

from dataclasses import dataclass

from pyproc import expose
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

IRIS = load_iris()
TRAIN_X, TEST_X, TRAIN_Y, TEST_Y = train_test_split(
    IRIS.data, IRIS.target, test_size=50, random_state=0, stratify=IRIS.target
)
MODEL = RandomForestClassifier(n_estimators=50, random_state=0).fit(TRAIN_X, TRAIN_Y)


@dataclass
class Sample:
    features: list[float]
    species: str


@dataclass
class Prediction:
    species: str
    probability: float


@expose
def held_out() -> list[Sample]:
    """The flowers that the model was not trained on."""
    return [
        Sample(x.tolist(), str(IRIS.target_names[y])) for x, y in zip(TEST_X, TEST_Y, strict=True)
    ]


@expose
def predict(features: list[float]) -> Prediction:
    probabilities = MODEL.predict_proba([features])[0]
    best = probabilities.argmax()
    return Prediction(str(IRIS.target_names[best]), probabilities[best])
