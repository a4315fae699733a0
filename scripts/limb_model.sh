#!/bin/sh
# Make the model of limb_sarcoma that osteon ships: data set, split, five trainings, export. About an hour on one core.
#
#     PATH=.venv/bin:$PATH scripts/limb_model.sh VOLUMES WORK_FOLDER MODEL_FOLDER
#
# VOLUMES: the folder sarcoma_ct_mr/volumes (34 patients, MR T1 and CT with the tumour's contour). Run again after an
# interruption, it goes on. One network learns from MR and CT; the model is the mean of the networks of five folds, and
# its card says what each was worth on patients that it never saw.
set -eu
volumes=$1 work=$2 model=$3
osteon dataset limb_sarcoma "$volumes" -o "$work/data" --modality both
[ -e "$work/data/splits.json" ] || osteon split "$work/data" --stratify ''
osteon train limb_sarcoma --data "$work/data" -o "$work/run" --set threads=1
osteon models export "$work/run" --data "$work/data" -o "$model" --name efficientnet_lite0_unet16.limb --version 1.0.0 \
	--name-patients --no-bfloat16 --licence CC-BY-3.0 \
	--statement "Trained on 34 patients with sarcoma of a limb (TCIA Soft-tissue-Sarcoma, doi:10.7937/K9/TCIA.2015.7GO2GSKS, CC BY 3.0); cross-validated Dice 0.76 (0.71 to 0.79) on MR and 0.74 (0.63 to 0.80) on CT, on scans cut around the tumour, where a mask that never looks reaches 0.65 and 0.60; not a medical device." \
	--intended-use "Shows and measures the outline of one sarcoma of a limb on MR T1 or CT, to be looked at by a person." \
	--exclusion "any decision about a patient: no medical device, never tried on data of another origin" \
	--exclusion "telling benign from malignant, or one kind of tumour from another: it only outlines" \
	--exclusion "anything but a limb with one tumour on T1-weighted MR or CT: trunk, head, other sequences, limbs without a tumour"
