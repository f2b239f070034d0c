//! Made by `examples/accuracy --train`; not for hands.

pub(super) const THRESHOLD: f32 = 0.7813;
pub(super) const BIAS: f32 = -10.6942;
#[rustfmt::skip]
pub(super) const WEIGHTS: &[f32] = &[
    -5.5787, // shorter_than_6
    0.8347, // shorter_than_8
    0.1864, // shorter_than_12
    -1.7268, // shorter_than_16
    0.8921, // shorter_than_20
    0.4826, // longer_than_31
    -0.5325, // longer_than_80
    1.5124, // entropy
    2.7887, // density
    -0.3906, // distinct
    0.8667, // digits
    0.0204, // no_digit
    -0.0194, // three_digits
    0.6222, // upper
    0.0336, // lower
    -1.5225, // marks
    -1.8179, // kinds_2
    0.8799, // kinds_3
    0.1837, // kinds_4
    3.9661, // turns
    -2.3311, // worded
    -0.7551, // half_worded
    3.0681, // mostly_worded
    -0.2542, // not_worded
    3.7880, // unexplained
    0.7632, // odd_letters
    0.3345, // odd_letters_long
    3.3232, // steps
    0.6444, // long_run
    0.6324, // hexadecimal
    0.1881, // digest_length
    1.5576, // uuid
    -1.2002, // base64_padded
    0.6133, // number
    2.2848, // stand_in
    0.0000, // reference
    -1.0002, // place
    -1.0613, // common_word
    0.0993, // random
    -0.3342, // random_and_named
    -0.5327, // camel_case
    -1.2300, // lower_camel
    0.2201, // all_words
    -0.3084, // identifier
    -1.5755, // constant
    0.2643, // markup
    0.4869, // prose
    -2.0907, // spaces
    -1.8157, // two_spaces
    -2.1513, // not_ascii
    0.2782, // call
    -0.9273, // bracket
    -1.3602, // dotted
    -0.4747, // underscored
    -0.6513, // hyphened
    -0.7583, // slashed
    -0.9199, // coloned
    -1.5902, // escaped
    1.4059, // dollar
    -2.1246, // begins_with_mark
    0.5294, // ends_with_mark
    -0.8717, // file_name
    -1.4061, // says_itself
    0.3822, // example_word
    -0.4868, // letters_then_digits
    0.7516, // leet
    0.5024, // name_tells
    -0.7216, // name_is_short
    0.6775, // name_alone
    -0.8076, // name_long
    0.4283, // name_shouted
    1.2216, // of_password
    -1.3294, // of_secret
    -2.6728, // of_token
    -0.3007, // of_key
    -0.4649, // of_auth
    1.9353, // of_api
    1.0691, // ends_with_key
    4.6396, // ends_with_token
    1.8599, // ends_with_secret
    1.4325, // ends_with_password
    0.1393, // name_has_owner
    -0.0579, // bare_key
    -1.0354, // bare_token
    0.2721, // dotted_name
    -3.6616, // name_of_test
    0.8462, // equals
    -0.1934, // colon
    -0.4974, // arrow
    0.2276, // compared
    0.1564, // argument
    -1.7802, // called
    -1.2676, // element
    1.5478, // only_space
    1.1816, // new_line
    0.7477, // typed
    -0.4294, // quoted
    1.8428, // double
    1.2198, // single
    0.4294, // bare
    -0.4524, // bare_without_digit
    1.5614, // bare_camel
    -0.1253, // bare_dotted
    -4.2480, // bare_then_code
    0.0000, // then_called
    1.0567, // begins_line
    -0.5333, // commented
    0.5782, // exported
    0.0000, // flag
    -1.1123, // in_query
    0.5280, // password_quoted
    -1.0613, // password_with_digit
    1.4822, // password_with_mark
    -0.4618, // password_worded
    0.6935, // password_bare
    0.4943, // secret_hex
    0.3344, // secret_uuid
    1.1892, // secret_long_random
    -1.6069, // key_without_owner_hex
    0.4335, // unnamed_random
    0.9936, // dense
    0.6568, // bare_dense
    -1.6628, // bare_dense_on_its_line
    -1.9586, // password_dense_bare
    0.6284, // whole_line
    0.6284, // bare_whole_line
    1.4540, // dense_whole_line
    -0.7113, // dense_quoted_password
    -1.4121, // dense_marked_password
    0.9088, // leet_password
    -0.7535, // only_letters
    -1.5397, // password_mixed
    0.4735, // in_connection
    8.0012, // in_connection_password
    1.5348, // human_password
    -1.5289, // human_password_quoted
    -1.8978, // mostly_escapes
    -1.4457, // quoted_token_like
    0.000, -1.626, -0.172, 1.277, 0.401, 0.822, -0.297, -1.035, 0.163, 2.512,
    0.981, -1.528, -0.530, -0.001, 0.765, -0.885, -0.195, -0.303, 0.000, 0.000,
    0.000, 0.000, 0.184, -0.606, -0.594, 0.165, 0.000, -1.427, -0.116, 0.000,
    0.043, 0.220, 0.248, -1.748, -0.593, 0.141, -1.822, -0.505, 1.482, 1.454,
    -0.182, 0.740, 1.850, 2.946, 1.003, -1.553, 1.880, 1.459, -0.198, 0.961,
    -2.313, -1.849, 0.000, -0.936, 0.000, 0.000, 0.789, 0.545, 0.380, -1.079,
    -0.264, -0.465, 0.002, 0.692, -0.886, 1.288, -1.652, -1.659, 3.870, 0.000,
    -0.375, 0.973, -0.322, 0.403, 1.386, -2.483, 0.653, 0.112, 0.000, -0.167,
    -0.102, 0.000, 0.498, -1.568, 1.156, 1.325, 0.031, 0.005, -0.138, 0.016,
    -0.987, -0.038, -1.283, 0.003, -0.009, 0.000, 0.063, 1.571, -0.461, 1.323,
    -0.359, 0.845, 1.093, -0.097, 0.000, 0.435, 0.115, 0.215, -1.480, -0.170,
    1.040, -0.911, -1.612, -0.775, 0.143, 1.882, -2.063, -1.053, -0.919, 1.817,
    -0.492, -0.510, -0.412, -0.012, -1.071, -0.674, -1.685, 1.270, 1.800, 1.263,
    0.000, -0.003, -0.593, 0.000, 0.035, 0.715, 0.581, -2.060, -0.362, -0.663,
    3.223, -2.450, -1.325, 0.130, -1.325, -0.936, 0.125, -0.010, 2.957, -0.096,
    -0.165, 0.796, -0.183, 1.743, 1.063, -0.843, 0.000, 1.633, -0.011, 0.000,
    0.368, 0.341, 1.514, 0.661, -0.111, -0.812, -0.465, -0.010, -0.911, 1.465,
    -0.764, 0.296, 2.388, -1.152, -0.440, -0.938, -2.635, -0.344, -0.658, 0.012,
    -0.313, -0.923, -0.187, 0.000, 0.000, 0.000, -0.833, -0.008, -1.955, -0.009,
    1.001, 2.477, 0.000, -0.257, -0.001, -0.000, 0.000, 0.287, 0.350, -1.596,
    0.039, -0.198, -1.554, 0.488, 0.000, 0.518, 2.404, 1.066, -1.138, 0.381,
    0.382, -0.735, -0.121, -1.026, 0.380, -0.269, 2.138, 1.727, -0.431, -0.324,
    -1.083, -0.246, 0.189, -1.939, -0.210, 1.510, 0.583, 1.415, -1.438, 0.913,
    -0.245, -1.284, -0.490, -0.263, -0.199, 0.043, 1.025, -1.185, -1.226, 0.005,
    0.200, -1.951, 1.520, 0.538, 0.473, -0.203, -0.607, -0.000, 0.000, 1.546,
    0.280, -0.002, -0.006, -0.888, -1.173, 1.196, -0.294, 0.698, -0.677, -1.069,
    -0.321, 0.000, 0.255, 1.274, -0.537, 0.433, -0.928, 0.410, 1.251, -1.461,
    0.217, -0.223, 1.176, -0.593, 2.131, -0.400, -0.001, -0.628, -0.001, -0.282,
    0.620, 2.147, -0.800, 0.203, -0.583, 0.565, -0.346, 0.795, -0.268, -0.459,
    1.328, 0.057, -0.189, -1.383, 1.548, -1.437, -0.982, 1.019, -0.833, -0.486,
    -0.336, -1.526, -1.478, 4.245, -1.676, -0.645, -0.486, 0.002, -2.120, 1.667,
    0.146, 0.913, -2.284, 1.083, 0.207, 0.773, -0.637, -0.781, 0.934, 1.057,
    -0.131, 0.331,
];
#[rustfmt::skip]
pub(super) const CLOSER: &[f32] = &[
    -1.6663, // believable
    3.2587, // believable_and_named
    1.0099, // mixed
    0.2633, // mixed_and_named
    0.7993, // human
    2.2539, // human_password_believed
    1.4428, // dense_password
    0.2782, // service_beginning
    0.7373, // in_header
    0.9083, // believed_in_header
    0.4743, // spelt_default
    -2.0928, // mashed
    1.6979, // counts
    -1.9478, // counts_far
    -1.1243, // few_characters
    -1.1343, // in_fixture
    -0.7113, // beside_documentation
    -1.1638, // beside_people
    1.1485, // name_quoted
    -0.6732, // name_in_brackets
];
