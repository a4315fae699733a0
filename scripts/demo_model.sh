#!/bin/sh
# Make the demo model that osteon ships: phantoms, split, training, export. About an hour on two cores.
#
#     PATH=.venv/bin:$PATH scripts/demo_model.sh WORK_FOLDER MODEL_FOLDER
#
# Run again after an interruption, it goes on. The model shows that everything works from picture to report; it has
# never seen a patient.
set -eu
work=$1 model=$2
here=$(dirname "$0")
osteon phantom cohort -o "$work/cohort" --patients 120 --seed 7 --preset coarse --test 0.25 --planes axial --most 0 --size 128
[ -e "$work/cohort/splits.json" ] || osteon split "$work/cohort" --folds 5 --seed 1
osteon train ct_osteosarcoma --data "$work/cohort" -o "$work/run" --settings "$here/demo_model.toml" --fold 0 --fold 1 --fold 2
osteon models export "$work/run" --data "$work/cohort" -o "$model" --name mobilenet_v2.phantom --version 2.0.0 \
	--operating-point legs --references 600 \
	--licence Apache-2.0 \
	--statement "Trained on synthetic phantoms only. It has never seen a patient." \
	--intended-use "Shows that osteon works from picture to report, on the bundled synthetic case." \
	--exclusion "any use on patients: the model has learnt from synthetic phantoms only"
