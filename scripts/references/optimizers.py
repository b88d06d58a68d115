"""Reference trajectories of the optimizers, for aggregation/tests/optimizers.rs.

Runs PyTorch 2.9.1's optimizers on the CPU with one fixed sequence of gradients, and prints JSON:
the parameters after each update, by configuration. PyTorch has no Lion and no LAMB, so these are
written from their papers in float64.

    python scripts/references/optimizers.py > aggregation/tests/goldens/optimizers.json
"""

import json
import math

import torch

STEPS = 20
BLOCKS = [5, 1, 6]  # two or more blocks, one of a single number
PARAMETERS = sum(BLOCKS)

CONFIGURATIONS = [
    {"kind": "sgd"},
    {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01},
    {"kind": "sgd", "learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    {"kind": "adam"},
    {"kind": "adam", "learning_rate": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.1},
    {"kind": "adam", "learning_rate": 0.02, "amsgrad": True},
    {"kind": "adam", "learning_rate": 0.02, "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"kind": "adamw"},
    {"kind": "adamw", "learning_rate": 0.02, "weight_decay": 0.2, "amsgrad": True},
    {"kind": "rmsprop"},
    {"kind": "rmsprop", "learning_rate": 0.01, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.05},
    {"kind": "rmsprop", "learning_rate": 0.01, "centered": True},
    {"kind": "rmsprop", "learning_rate": 0.01, "centered": True, "momentum": 0.5, "eps": 1e-4},
    {"kind": "adagrad"},
    {"kind": "adagrad", "learning_rate": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "weight_decay": 0.02},
    {"kind": "lion"},
    {"kind": "lion", "learning_rate": 0.01, "betas": [0.85, 0.95], "weight_decay": 0.1},
    {"kind": "lamb"},
    {"kind": "lamb", "learning_rate": 0.02, "betas": [0.8, 0.98], "eps": 1e-5, "weight_decay": 0.05},
]


def problem():
    """First parameters and gradients: normal numbers over several scales, rounded so that JSON holds them exactly enough for f32."""
    generator = torch.Generator().manual_seed(7)
    first = torch.randn(PARAMETERS, generator=generator)
    scales = 10.0 ** torch.linspace(-3, 1, PARAMETERS)
    gradients = torch.randn(STEPS, PARAMETERS, generator=generator) * scales + 0.3 * scales
    gradients[3] = 0.0  # a step without gradient
    return first, gradients


def of_torch(configuration, first, gradients):
    options = {key: value for key, value in configuration.items() if key not in ("kind", "learning_rate")}
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    classes = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
    parameter = torch.nn.Parameter(first.clone())
    optimizer = getattr(torch.optim, classes[configuration["kind"]])(
        [parameter], lr=configuration.get("learning_rate", 1e-3), foreach=False, **options
    )
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
        yield parameter.detach().double().tolist()


def lion(configuration, first, gradients):
    """Chen et al., Symbolic discovery of optimization algorithms, NeurIPS 2023, algorithm 2."""
    rate = configuration.get("learning_rate", 1e-3)
    beta1, beta2 = configuration.get("betas", [0.9, 0.99])
    decay = configuration.get("weight_decay", 0.0)
    theta, m = first.double(), torch.zeros(PARAMETERS, dtype=torch.float64)
    for gradient in gradients.double():
        update = beta1 * m + (1 - beta1) * gradient
        theta = theta - rate * (torch.sign(update) + decay * theta)
        m = beta2 * m + (1 - beta2) * gradient
        yield theta.tolist()


def lamb(configuration, first, gradients):
    """You et al., Large batch optimization for deep learning, ICLR 2020, algorithm 2, with phi the identity."""
    rate = configuration.get("learning_rate", 1e-3)
    beta1, beta2 = configuration.get("betas", [0.9, 0.999])
    eps, decay = configuration.get("eps", 1e-6), configuration.get("weight_decay", 0.0)
    blocks = list(first.double().split(BLOCKS))
    moments = [(torch.zeros_like(block), torch.zeros_like(block)) for block in blocks]
    for step, gradient in enumerate(gradients.double(), start=1):
        for i, g in enumerate(gradient.split(BLOCKS)):
            m, v = moments[i]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            moments[i] = (m, v)
            ratio = (m / (1 - beta1**step)) / (torch.sqrt(v / (1 - beta2**step)) + eps)
            direction = ratio + decay * blocks[i]
            weights, length = blocks[i].norm().item(), direction.norm().item()
            trust = weights / length if weights > 0 and length > 0 else 1.0
            blocks[i] = blocks[i] - rate * trust * direction
        yield torch.cat(blocks).tolist()


def main():
    first, gradients = problem()
    runs = []
    for configuration in CONFIGURATIONS:
        run = {"lion": lion, "lamb": lamb}.get(configuration["kind"], of_torch)
        trajectory = list(run(configuration, first, gradients))
        assert all(math.isfinite(value) for row in trajectory for value in row)
        kept = [[float(f"{value:.10g}") for value in row] for row in trajectory]
        runs.append({"optimizer": configuration, "parameters": kept})
    exact = lambda tensor: [float(f"{value:.9g}") for value in tensor.double().flatten().tolist()]
    document = {
        "origin": f"PyTorch {torch.__version__} on the CPU; Lion and LAMB transcribed in float64; scripts/references/optimizers.py",
        "blocks": BLOCKS,
        "first": exact(first),
        "gradients": [exact(gradient) for gradient in gradients],
        "runs": runs,
    }
    print(json.dumps(document, separators=(",", ":")))


main()
