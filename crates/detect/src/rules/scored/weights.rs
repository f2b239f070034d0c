//! Made by `examples/accuracy --train`; not for hands.

pub(super) const THRESHOLD: f32 = 1.1410;
pub(super) const BIAS: f32 = -11.4464;
#[rustfmt::skip]
pub(super) const WEIGHTS: &[f32] = &[
    -3.9845, // shorter_than_6
    -0.1463, // shorter_than_8
    1.1860, // shorter_than_12
    -1.4739, // shorter_than_16
    0.5529, // shorter_than_20
    -0.0258, // longer_than_31
    -0.0123, // longer_than_80
    1.9087, // entropy
    2.3735, // density
    0.2708, // distinct
    1.3700, // digits
    -0.2895, // no_digit
    -0.0144, // three_digits
    0.8575, // upper
    -0.2017, // lower
    -2.0258, // marks
    -0.2942, // kinds_2
    0.6805, // kinds_3
    0.4972, // kinds_4
    2.8307, // turns
    -2.0682, // worded
    -1.1216, // half_worded
    2.7971, // mostly_worded
    -0.6232, // not_worded
    4.9288, // unexplained
    1.5162, // odd_letters
    -0.9556, // odd_letters_long
    2.6940, // steps
    0.3660, // long_run
    1.7562, // hexadecimal
    0.2534, // digest_length
    0.6216, // uuid
    -1.4826, // base64_padded
    0.7486, // number
    0.9795, // stand_in
    0.0000, // reference
    -1.2737, // place
    -0.8795, // common_word
    0.1955, // random
    -0.0482, // random_and_named
    -0.1714, // camel_case
    0.0088, // lower_camel
    0.1623, // all_words
    -0.2352, // identifier
    -2.1559, // constant
    0.4660, // markup
    0.1465, // prose
    -1.7787, // spaces
    -1.6099, // two_spaces
    -2.2796, // not_ascii
    -0.2419, // call
    -0.7541, // bracket
    -1.0483, // dotted
    -0.5675, // underscored
    -0.0566, // hyphened
    -0.7515, // slashed
    -2.1095, // coloned
    -0.9790, // escaped
    1.9431, // dollar
    -1.5529, // begins_with_mark
    0.0083, // ends_with_mark
    1.6033, // file_name
    -1.5362, // says_itself
    0.7086, // example_word
    -0.4121, // letters_then_digits
    0.6320, // leet
    -0.0187, // name_tells
    -0.8058, // name_is_short
    1.4668, // name_alone
    -0.5219, // name_long
    1.0387, // name_shouted
    1.0677, // of_password
    -0.7864, // of_secret
    -3.7207, // of_token
    -0.2776, // of_key
    -0.0247, // of_auth
    2.4047, // of_api
    0.5019, // ends_with_key
    5.4271, // ends_with_token
    2.1031, // ends_with_secret
    1.3641, // ends_with_password
    0.8764, // name_has_owner
    0.9230, // bare_key
    -0.2268, // bare_token
    0.0182, // dotted_name
    -3.7872, // name_of_test
    0.2491, // equals
    -0.9322, // colon
    -0.7018, // arrow
    0.3131, // compared
    0.1052, // argument
    -1.2242, // called
    -0.9009, // element
    1.0248, // only_space
    1.2547, // new_line
    1.0632, // typed
    0.6503, // quoted
    -0.2491, // double
    -0.7636, // single
    -0.6503, // bare
    0.6976, // bare_without_digit
    0.6957, // bare_camel
    0.0380, // bare_dotted
    -3.2908, // bare_then_code
    0.0000, // then_called
    1.3472, // begins_line
    -0.7977, // commented
    0.0990, // exported
    0.0000, // flag
    -1.5505, // in_query
    1.0670, // password_quoted
    -0.9945, // password_with_digit
    1.2414, // password_with_mark
    -0.2924, // password_worded
    0.0007, // password_bare
    0.2884, // secret_hex
    1.0733, // secret_uuid
    0.9362, // secret_long_random
    -1.9002, // key_without_owner_hex
    0.2437, // unnamed_random
    0.7376, // dense
    0.6180, // bare_dense
    -0.9814, // bare_dense_on_its_line
    -1.4104, // password_dense_bare
    0.6562, // whole_line
    0.6562, // bare_whole_line
    1.3546, // dense_whole_line
    -0.9751, // dense_quoted_password
    -1.5997, // dense_marked_password
    0.5735, // leet_password
    -0.0934, // only_letters
    -1.1939, // password_mixed
    0.3141, // in_connection
    6.1442, // in_connection_password
    3.0256, // human_password
    -2.5023, // human_password_quoted
    -2.1632, // mostly_escapes
    -1.1025, // quoted_token_like
    0.000, -1.208, -0.010, 1.858, -0.096, -0.356, -0.392, -2.462, 1.020, 3.368,
    1.284, -1.743, -0.008, -0.001, 1.685, -0.016, 0.337, -0.545, 0.000, 0.000,
    0.000, 0.000, -0.675, -1.377, -0.240, -0.404, 0.000, -1.214, -0.213, 0.000,
    0.290, 0.560, 0.282, -1.893, -0.759, 0.275, -1.738, -0.023, 1.057, 0.897,
    0.752, 0.669, 1.541, 2.611, 0.363, -0.623, 1.200, 1.382, -0.003, 0.376,
    -1.499, -1.932, 0.000, -0.952, 0.000, 0.000, 0.476, 0.586, 0.432, -1.295,
    -0.666, -0.552, -0.000, -0.227, -1.308, 1.819, -1.409, -2.058, 4.087, 0.000,
    -1.011, 1.119, 0.366, 0.847, 1.803, -1.674, 0.728, 0.044, 0.000, -0.156,
    -0.232, 0.000, 0.478, -1.255, 1.260, 1.010, -0.266, -0.237, -0.003, -0.018,
    -0.699, -0.029, -1.272, -0.008, -0.015, 0.000, -0.893, 1.486, -0.438, 1.262,
    0.386, 1.172, 0.795, -0.232, 0.000, 0.603, 0.191, 0.380, -1.720, -0.297,
    1.010, -0.841, -2.035, -0.378, 0.109, 1.648, -1.567, -0.543, -1.101, 1.445,
    -2.292, -0.738, 0.156, 0.422, -1.015, -0.526, -1.125, 1.173, 2.100, 1.228,
    0.000, -0.003, -1.183, 0.000, 0.205, 0.974, 0.564, -2.056, -0.956, -1.194,
    2.320, -2.592, -0.878, 0.343, -1.162, -0.563, 1.697, -0.258, 2.913, 0.503,
    -0.190, 0.796, 0.055, 1.966, 1.053, -0.729, 0.000, 1.150, -0.041, 0.000,
    0.103, 0.674, 1.600, 1.036, 0.768, -0.047, -0.047, -0.005, -0.630, 1.458,
    -1.006, -0.474, 1.995, -1.229, -1.931, -0.513, -3.334, -0.379, -1.626, 0.238,
    -0.428, -0.870, -0.010, 0.000, 0.000, 0.000, -1.498, -0.228, -1.085, -0.009,
    0.854, 2.317, 0.000, -0.027, -0.000, -0.000, 0.000, -0.016, 0.169, -1.460,
    0.028, 0.601, -1.649, 0.291, 0.000, 0.594, 2.092, 0.129, -0.825, 0.387,
    -0.313, -1.142, -0.068, -0.833, 0.637, -0.047, 1.481, 1.269, -0.467, 0.108,
    -0.308, -0.321, 0.311, -0.703, -0.599, 1.188, 0.541, 1.518, -1.104, 1.012,
    -0.113, -1.754, -0.661, 0.076, -0.281, 0.050, 0.822, -1.634, 1.100, -0.873,
    0.876, -2.105, 0.996, 0.154, -0.047, 0.232, -0.406, -0.001, 0.000, 1.160,
    0.145, -0.001, -0.004, -0.892, -0.973, 0.993, -0.476, 0.948, -0.904, -0.267,
    -0.340, 0.000, -0.329, 1.314, -0.921, 0.335, -1.745, 1.371, 1.563, -1.160,
    0.699, -0.152, 0.389, -0.175, 1.927, -0.388, -0.002, -0.843, -0.000, -0.206,
    -1.661, 2.834, -0.410, 0.255, -0.223, 0.797, -0.812, 0.910, 0.022, -0.787,
    0.942, -0.141, 0.311, -1.376, 1.808, -1.145, -1.188, 1.269, -0.652, -0.025,
    -0.675, 0.080, -1.251, 4.000, -1.581, -1.080, -0.283, -1.002, -1.717, 1.519,
    0.146, 0.548, -2.126, 1.289, 0.069, 0.774, -1.552, -0.217, 0.665, 1.352,
    -0.462, 0.465,
];
#[rustfmt::skip]
pub(super) const CLOSER: &[f32] = &[
    -2.3417, // believable
    3.5171, // believable_and_named
    -0.5991, // mixed
    1.8815, // mixed_and_named
    1.2338, // human
    -0.5941, // human_and_named
    1.9912, // human_password_believed
    1.4039, // dense_password
    -0.1506, // service_beginning
    2.2661, // in_header
    -0.0473, // believed_in_header
    -3.1931, // spelt_default
    -1.7657, // mashed
    1.5683, // counts
    -1.3630, // counts_far
    1.0332, // repeats
    -1.1790, // few_characters
    -0.1262, // word_and_number
    -1.0452, // in_fixture
    -0.0370, // in_fixture_believed
    0.5302, // beside_test
    -0.7735, // beside_documentation
    -1.5663, // beside_people
    1.0996, // name_quoted
    -0.9737, // name_in_brackets
];
