//! Made by `examples/accuracy --train`; not for hands.

pub(super) const THRESHOLD: f32 = 1.2273;
pub(super) const BIAS: f32 = -9.6098;
#[rustfmt::skip]
pub(super) const WEIGHTS: &[f32] = &[
    -4.8804, // shorter_than_6
    0.7915, // shorter_than_8
    0.3551, // shorter_than_12
    -1.8159, // shorter_than_16
    0.8633, // shorter_than_20
    0.4227, // longer_than_31
    -0.4075, // longer_than_80
    1.3746, // entropy
    2.8817, // density
    -0.3230, // distinct
    0.9621, // digits
    -0.2942, // no_digit
    0.2314, // three_digits
    0.8703, // upper
    -0.0049, // lower
    -1.8275, // marks
    -1.3577, // kinds_2
    1.0002, // kinds_3
    0.3705, // kinds_4
    3.0875, // turns
    -2.4791, // worded
    -0.6683, // half_worded
    3.2958, // mostly_worded
    -0.3747, // not_worded
    3.9434, // unexplained
    1.0056, // odd_letters
    0.0553, // odd_letters_long
    2.8587, // steps
    0.2417, // long_run
    0.7649, // hexadecimal
    0.3532, // digest_length
    1.6787, // uuid
    -1.1854, // base64_padded
    0.8170, // number
    2.6478, // stand_in
    0.0000, // reference
    -1.5850, // place
    -1.2465, // common_word
    -0.1022, // random
    -0.4023, // random_and_named
    -0.3181, // camel_case
    0.2043, // lower_camel
    0.6701, // all_words
    -0.1357, // identifier
    -1.6743, // constant
    0.5567, // markup
    0.3596, // prose
    -1.9717, // spaces
    -1.8891, // two_spaces
    -2.5815, // not_ascii
    -0.0853, // call
    -0.4199, // bracket
    -1.2960, // dotted
    -0.6904, // underscored
    -0.5195, // hyphened
    -0.7958, // slashed
    -1.0557, // coloned
    -1.3576, // escaped
    1.5510, // dollar
    -1.8171, // begins_with_mark
    0.5970, // ends_with_mark
    1.2992, // file_name
    -1.4077, // says_itself
    0.4053, // example_word
    -0.2789, // letters_then_digits
    0.8772, // leet
    0.1166, // name_tells
    -1.0178, // name_is_short
    0.5541, // name_alone
    -0.8770, // name_long
    0.4795, // name_shouted
    1.4693, // of_password
    -1.4066, // of_secret
    -2.6228, // of_token
    -0.2522, // of_key
    -0.5395, // of_auth
    1.7091, // of_api
    1.0572, // ends_with_key
    4.5669, // ends_with_token
    1.8446, // ends_with_secret
    1.1437, // ends_with_password
    0.1155, // name_has_owner
    0.3267, // bare_key
    -0.5588, // bare_token
    -0.0381, // dotted_name
    -3.4936, // name_of_test
    0.5029, // equals
    -0.7203, // colon
    -0.4382, // arrow
    0.1943, // compared
    -0.0413, // argument
    -1.2699, // called
    -1.4269, // element
    1.1225, // only_space
    1.1544, // new_line
    1.1223, // typed
    0.6178, // quoted
    -0.0055, // double
    -0.4455, // single
    -0.6178, // bare
    0.2191, // bare_without_digit
    0.6100, // bare_camel
    -0.0790, // bare_dotted
    -3.5693, // bare_then_code
    0.0000, // then_called
    1.0221, // begins_line
    -0.7588, // commented
    0.5737, // exported
    0.0000, // flag
    -1.7015, // in_query
    1.1938, // password_quoted
    -1.8751, // password_with_digit
    1.0362, // password_with_mark
    -0.3099, // password_worded
    0.2755, // password_bare
    0.5594, // secret_hex
    0.4971, // secret_uuid
    0.6723, // secret_long_random
    -1.5643, // key_without_owner_hex
    0.3001, // unnamed_random
    0.9534, // dense
    0.8373, // bare_dense
    -1.8031, // bare_dense_on_its_line
    -1.5225, // password_dense_bare
    0.6832, // whole_line
    0.6832, // bare_whole_line
    1.7069, // dense_whole_line
    -1.0881, // dense_quoted_password
    -0.9224, // dense_marked_password
    0.5562, // leet_password
    -0.4595, // only_letters
    -1.5929, // password_mixed
    0.0907, // in_connection
    7.1492, // in_connection_password
    2.7210, // human_password
    -2.2696, // human_password_quoted
    -2.1737, // mostly_escapes
    -1.2651, // quoted_token_like
    0.000, -1.473, -0.016, 0.960, 0.459, 0.722, -0.419, -1.111, 0.151, 4.216,
    0.349, -2.039, -0.056, -0.002, 0.664, -1.103, -0.304, -0.248, 0.000, 0.000,
    0.000, 0.000, 0.904, -0.879, -0.706, -0.188, 0.000, -1.415, -0.107, 0.000,
    0.072, 0.224, 0.315, -1.715, -0.709, -0.053, -2.076, 2.629, 1.127, 0.597,
    0.276, 0.334, 1.852, 2.825, 0.696, -1.634, 1.515, 1.321, -0.302, 0.781,
    -1.438, -1.917, 0.000, -0.693, 0.000, 0.000, 0.661, 0.679, 0.412, -1.319,
    -0.012, -0.794, 0.000, -0.236, -1.191, 2.014, -1.628, -1.647, 3.738, 0.000,
    -0.665, 1.413, -0.473, 0.489, 1.535, -2.411, 0.745, 0.124, 0.000, -0.034,
    -0.137, 0.000, 0.521, -1.455, 1.154, 1.417, -0.629, 0.034, 0.001, -0.036,
    -1.144, -0.206, -1.084, 0.004, 0.004, 0.000, 0.080, 1.733, -0.690, 1.218,
    0.096, 1.102, 1.184, 0.074, 0.000, 0.533, 0.103, 0.173, -1.334, -0.188,
    1.019, -0.834, -1.441, -0.447, 0.176, 1.652, -2.204, -1.123, -0.586, 1.710,
    -1.676, -0.352, -0.324, 0.299, -0.942, -0.721, -1.380, 0.398, 2.086, 1.028,
    0.000, -0.006, -0.142, 0.000, 0.069, 0.641, 0.580, -2.055, -0.259, -0.881,
    2.016, -2.640, -1.028, -0.206, -1.278, -0.641, 0.219, -0.003, 2.973, 0.348,
    -0.413, 0.618, -0.279, 1.645, 1.384, -0.951, 0.000, 1.116, -0.018, 0.000,
    0.199, 0.408, 1.655, 0.792, -0.111, -0.469, -0.075, -0.002, -1.346, 1.890,
    -0.587, 0.087, 2.449, -1.560, -0.906, -0.676, -2.301, -0.141, -1.352, 0.005,
    -0.290, -1.135, -0.026, 0.000, 0.000, 0.000, -0.927, -0.026, -2.086, -0.013,
    0.990, 2.514, 0.000, -0.229, -0.002, -0.000, 0.000, 0.347, 0.510, -1.417,
    -0.267, -0.370, -1.487, 0.326, 0.000, 0.549, 2.254, 1.322, -1.165, 0.611,
    0.336, -0.590, -0.235, -0.708, -0.040, -0.160, 1.464, 1.589, -0.496, -0.273,
    -0.649, 0.072, 0.179, -1.784, -0.192, 1.114, 0.387, 1.090, -1.149, 0.875,
    -0.153, -1.228, -0.565, 0.221, -0.274, 0.027, 0.967, -1.348, 0.620, -1.500,
    0.420, -2.044, 1.362, 0.516, 0.394, 0.052, -0.384, -0.000, 0.000, 1.559,
    0.372, -0.000, -0.003, -1.075, -1.129, 1.079, -0.028, 0.800, -0.954, -1.062,
    -0.579, 0.000, 0.254, 1.139, -0.556, 1.837, -0.816, 0.504, 0.849, -1.102,
    -0.540, -0.424, 0.554, -0.330, 2.151, -0.650, -0.000, -0.721, -0.001, -0.254,
    0.739, 2.374, -0.920, 0.240, -0.684, 0.598, -0.580, 0.370, -0.031, -0.413,
    1.293, -0.095, -0.161, -1.277, 1.256, -1.159, -1.100, 1.101, -0.822, -0.332,
    -0.077, -0.578, -1.459, 4.271, -1.563, -0.492, -0.519, -0.853, -2.370, 1.845,
    0.221, 0.898, -2.404, 1.074, 0.293, 0.796, -0.521, -0.669, 1.237, 0.842,
    -0.947, 0.381,
];
#[rustfmt::skip]
pub(super) const CLOSER: &[f32] = &[
    -1.2727, // believable
    3.1309, // believable_and_named
    0.7918, // mixed
    0.4154, // mixed_and_named
    0.5351, // human
    2.0435, // human_password_believed
    1.9288, // dense_password
    0.3414, // service_beginning
    1.7435, // in_header
    0.3832, // believed_in_header
    -2.5763, // spelt_default
    -1.9653, // mashed
    1.8564, // counts
    -1.8718, // counts_far
    -1.0680, // few_characters
    -1.1527, // in_fixture
    -0.8033, // beside_documentation
    -1.3276, // beside_people
    0.9770, // name_quoted
    -0.5009, // name_in_brackets
];
