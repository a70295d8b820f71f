"""A service whose model is known in closed form."""

from typing import Any, NamedTuple

import numpy as np

from tests.app.served import Served
from tests.model.ppca import Ppca


class Known(NamedTuple):
    """A service and its model in closed form."""

    served: Served
    model: Ppca

    def ask(self, url: str, **options: Any) -> dict[str, Any]:
        """Return the answer about the model's data, arrays as numpy's."""
        document = {"x": self.model.x.tolist(), "seed": 1, **options}
        response = self.served.post(url, document)
        assert response.status_code == 200, response.text
        return {
            name: np.array(value) if isinstance(value, list) else value
            for name, value in response.json().items()
        }
