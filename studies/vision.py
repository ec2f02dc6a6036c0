"""LeNet on MNIST and Fashion-MNIST, half an hour a cell; needs the data sets (HPOBENCH_DATA)."""

from hpobench import Study

SEARCHERS = ("default", "default_cosine", "random", "tpe", "bohb", "hd", "fds")

study = Study("vision", ["mnist", "fashion_mnist"], SEARCHERS, seeds=5, budget=1800)
