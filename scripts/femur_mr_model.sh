#!/bin/sh
# Make the demo model of mri_femur that osteon ships: MR phantoms, split, training, export. Half an hour on two cores.
#
#     PATH=.venv/bin:$PATH scripts/femur_mr_model.sh WORK_FOLDER MODEL_FOLDER
#
# Run again after an interruption, it goes on. The model shows that everything works from MR to report; it has never
# seen a patient.
set -eu
work=$1 model=$2
here=$(dirname "$0")
osteon phantom cohort -o "$work/cohort" --task mri_femur --patients 300 --seed 7 --test 0.25
[ -e "$work/cohort/splits.json" ] || osteon split "$work/cohort" --folds 5 --seed 1
osteon train mri_femur --data "$work/cohort" -o "$work/run" --settings "$here/femur_mr_model.toml" --fold 0 --fold 1 --fold 2
osteon models export "$work/run" --data "$work/cohort" -o "$model" --name mobilenet_v2.femur_mr_phantom --version 1.0.0 \
	--operating-point youden --references 600 \
	--licence Apache-2.0 \
	--statement "Trained on synthetic phantoms only. It has never seen a patient." \
	--intended-use "Shows that osteon works from an MR of the femur to a report, on synthetic patients." \
	--exclusion "any use on patients: the model has learnt from synthetic phantoms only"
