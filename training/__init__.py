"""From history to an artefact one may trust: fit, backtest, compare, export, replay."""
