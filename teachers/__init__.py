"""Teachers, found by name."""

TEACHERS = {
    "alp_gmm": "teachers.alp_gmm:ALPGMM",
    "anti": "teachers.ordered:HardFirst",
    "easy_first": "teachers.ordered:EasyFirst",
    "easy_first_capped": "teachers.ordered:EasyFirstCapped",
    "no_op": "teachers.uniform:NoOp",
    "random_pace": "teachers.ordered:RandomPace",
    "self_paced": "teachers.self_paced:SelfPaced",
    "self_paced_capped": "teachers.self_paced:SelfPacedCapped",
    "uniform": "teachers.uniform:Uniform",
}
