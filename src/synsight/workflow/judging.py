"""The verb `evaluate` with every task there is: those on features and those that train a network."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from synsight.errors import Interrupted
from synsight.evaluation import TaskTable
from synsight.evaluation import evaluate as ask
from synsight.evaluation.corruptions import corruptions
from synsight.evaluation.domains import domains
from synsight.evaluation.episodes import episodes
from synsight.evaluation.evidence import evidence
from synsight.evaluation.multilabel import multilabel
from synsight.evaluation.resolution import resolution
from synsight.evaluation.retrieval import retrieval
from synsight.evaluation.start import start
from synsight.evaluation.zeroshot import zeroshot
from synsight.finetuning.dense_tasks import DENSE_TASKS
from synsight.finetuning.finetune import finetuned
from synsight.records import Result

TASK_TABLE = TaskTable(
    of_label={
        "episodes": episodes,
        "start": start,
        "zeroshot": zeroshot,
        "evidence": evidence,
        "corruptions": corruptions,
        "resolution": resolution,
        "domains": domains,
        "finetune": finetuned,
    },
    label_free={"retrieval": retrieval, "multilabel": multilabel, **DENSE_TASKS},
    needs_network={
        "start": "begins at the rows of the network's own words",
        "zeroshot": "compares images with sentences that the network's text half reads",
        "evidence": "reads the words that the network predicts",
        "retrieval": "compares images with captions that the network's text half reads",
        "corruptions": "shows the network spoilt images",
        "resolution": "shows the network smaller images",
        "finetune": "trains the network",
        **dict.fromkeys(DENSE_TASKS, "trains the network"),
    },
)

P = ParamSpec("P")


def _with_every_task(evaluation: Callable[P, list[Result]]) -> Callable[P, list[Result]]:
    """The same function, which knows `TASK_TABLE` and says how to go on when it is stopped."""

    @wraps(evaluation)
    def evaluate(*arguments: P.args, **settings: P.kwargs) -> list[Result]:
        settings.setdefault("table", TASK_TABLE)
        try:
            return evaluation(*arguments, **settings)
        except (Interrupted, KeyboardInterrupt):
            raise Interrupted(
                f"the evaluation in {settings['out']} was stopped; what is finished is kept, so run the same "
                "command again to go on."
            ) from None

    return evaluate


evaluate = _with_every_task(ask)
