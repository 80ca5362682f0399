"""The modules that decide the bytes of each kind of head. Standard library only.

Not in training.py, whose code is in the key of every head: an entry makes no other kind stale.
"""

# kind of [head] -> its modules.
HEAD_CODE = {
    "keras": ("modeling.heads.keras_head", "modeling.log_loss", "modeling.training_order"),
    "logistic": ("modeling.heads.logistic_head",),
    "zero-shot": (
        "config.imagenet",
        "modeling.heads.logistic_head",
        "modeling.heads.zero_shot_head",
    ),
}
