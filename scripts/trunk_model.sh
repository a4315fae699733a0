#!/bin/sh
# Make the two demo models of ct_metastasis that osteon ships: phantoms, split, trainings, exports. About an hour on two cores.
#
#     PATH=.venv/bin:$PATH scripts/trunk_model.sh WORK_FOLDER SEGMENTER_FOLDER SLICE_MODEL_FOLDER
#
# Run again after an interruption, it goes on. The models show that everything works from picture to report; they have
# never seen a patient.
set -eu
work=$1 segmenter=$2 slices=$3
here=$(dirname "$0")
osteon phantom cohort -o "$work/cohort" --task ct_metastasis --patients 96 --seed 7 --healthy 0.25 --test 0.25 --lesion-slices 16 --normal-slices 10
[ -e "$work/cohort/splits.json" ] || osteon split "$work/cohort" --folds 5 --seed 1
osteon train ct_metastasis --data "$work/cohort" -o "$work/segmenter" --settings "$here/trunk_model.toml" --fold 0
osteon models export "$work/segmenter" --data "$work/cohort" -o "$segmenter" --name hybrid_attunetpp_small.phantom --version 1.0.0 --least-mm3 500 \
	--licence Apache-2.0 \
	--statement "Trained on synthetic phantoms only. It has never seen a patient." \
	--intended-use "Shows that osteon works from a CT of the trunk to a list of lesions, on synthetic patients." \
	--exclusion "any use on patients: the model has learnt from synthetic phantoms only"
osteon train ct_metastasis_slices --data "$work/cohort" -o "$work/slices" --settings "$here/trunk_slices.toml" --fold 0
osteon models export "$work/slices" --data "$work/cohort" -o "$slices" --name mobilenet_v2.trunk_phantom --version 1.0.0 \
	--operating-point youden --references 600 \
	--licence Apache-2.0 \
	--statement "Trained on synthetic phantoms only. It has never seen a patient." \
	--intended-use "Shows that osteon works from a CT of the trunk to slice classes, on synthetic patients." \
	--exclusion "any use on patients: the model has learnt from synthetic phantoms only"
