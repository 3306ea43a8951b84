"""Teachers, found by name."""

TEACHERS = {
    "alp_gmm": "teachers.alp_gmm:ALPGMM",
    "anti": "teachers.ordered:HardFirst",
    "easiest": "teachers.fixed:Easiest",
    "easy_first": "teachers.ordered:EasyFirst",
    "easy_first_capped": "teachers.ordered:EasyFirstCapped",
    "exp3s": "teachers.exp3s:EXP3S",
    "expanding_box": "teachers.expanding_box:ExpandingBox",
    "learning_progress": "teachers.learning_progress:LearningProgress",
    "linear_anneal": "teachers.anneal:LinearAnneal",
    "no_op": "teachers.uniform:NoOp",
    "random_pace": "teachers.ordered:RandomPace",
    "self_paced": "teachers.self_paced:SelfPaced",
    "self_paced_capped": "teachers.self_paced:SelfPacedCapped",
    "stages": "teachers.stages:StageList",
    "target": "teachers.fixed:TargetOnly",
    "tscl": "teachers.tscl:TSCL",
    "tscl_naive": "teachers.tscl:TSCLNaive",
    "tscl_online": "teachers.tscl:TSCLOnline",
    "tscl_window": "teachers.tscl:TSCLWindow",
    "uniform": "teachers.uniform:Uniform",
}
