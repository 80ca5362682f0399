"""make search: settings of a head, judged on folds that train does not use."""
