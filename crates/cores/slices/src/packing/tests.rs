//! Scenarios of S-213 and S-214, written by hand: slices as lists of letters, one per endpoint.

use serde_json::json;

use super::*;

/// One endpoint per letter; an upper-case letter is the same endpoint, changed (not ready).
fn endpoints(letters: &str) -> Vec<Endpoint> {
    let one = |letter: char| {
        serde_json::from_value(json!({
            "addresses": [format!("10.0.0.{}", letter.to_ascii_lowercase() as u32)],
            "conditions": {"ready": letter.is_ascii_lowercase()},
        }))
        .expect("the fixture is an endpoint")
    };
    letters.chars().map(one).collect()
}

fn letters(endpoints: &[Endpoint]) -> String {
    let one = |endpoint: &Endpoint| {
        let code: u8 = endpoint.addresses[0].rsplit('.').next().and_then(|part| part.parse().ok()).expect("a letter");
        let letter = char::from(code);
        if endpoint.conditions.ready == Some(true) { letter } else { letter.to_ascii_uppercase() }
    };
    endpoints.iter().map(one).collect()
}

/// Slices are named 0, 1, 2, … in the order given. The outcome reads `rewritten | new | emptied`.
fn check(id: &str, len_max: usize, existing: &[&str], desired: &str, expected: &str) {
    println!("case {id}");
    let slices: Vec<EndpointSlice> = existing
        .iter()
        .enumerate()
        .map(|(index, letters)| {
            let mut slice = EndpointSlice { endpoints: endpoints(letters), ..EndpointSlice::default() };
            slice.metadata.name = index.to_string();
            slice
        })
        .collect();
    let slices: Vec<&EndpointSlice> = slices.iter().collect();
    let packed = pack(&slices, endpoints(desired), &Labels::new(), len_max);
    let rewritten: Vec<String> = packed
        .rewritten
        .iter()
        .map(|(slice, endpoints)| format!("{}={}", slice.metadata.name, letters(endpoints)))
        .collect();
    let new: Vec<String> = packed.new.iter().map(|endpoints| letters(endpoints)).collect();
    let emptied: Vec<&str> = packed.emptied.iter().map(|slice| slice.metadata.name.as_str()).collect();
    assert_eq!(format!("{} | {} | {}", rewritten.join(" "), new.join(" "), emptied.join(" ")), expected, "{id}");
}

#[test]
fn s213_step_1_keeps_what_is_wanted_in_place() {
    check("s213-1-nothing-to-do", 3, &["abc", "de"], "abcde", " |  | ");
    check("s213-1-vanished", 3, &["abc", "de"], "abe", "0=ab 1=e |  | ");
    check("s213-1-changed-in-place", 3, &["abc", "de"], "aBcde", "0=aBc |  | ");
    check("s213-1-emptied", 3, &["abc", "de"], "abc", " |  | 1");
    check("s213-1-twice-in-two-slices", 3, &["ab", "bc"], "abc", "1=c |  | ");
    check("s213-1-twice-in-one-slice", 3, &["aab"], "ab", "0=ab |  | ");
    check("s213-1-already-empty", 3, &["ab", ""], "ab", " |  | 1");
    check("s213-1-no-repacking", 3, &["a", "b", "c"], "abc", " |  | ");
}

#[test]
fn s213_step_2_fills_rewritten_slices_fullest_first() {
    check("s213-2-replacement", 3, &["abc", "def"], "abxdef", "0=abx |  | ");
    check("s213-2-fullest-first", 4, &["abc", "defg", "hi"], "abdefgix", "0=abx 2=i |  | ");
    check("s213-2-then-the-next", 4, &["abc", "de", "fg"], "abdfgxyz", "0=abxy 1=dz |  | ");
    check("s213-2-touched-before-roomy", 4, &["abc", "d"], "Abcdx", "0=Abcx |  | ");
}

#[test]
fn s213_step_3_puts_the_rest_into_one_slice_or_new_ones() {
    check("s213-3-fullest-that-fits", 4, &["a", "bcd", "ef"], "abcdefx", "1=bcdx |  | ");
    check("s213-3-must-fit-whole", 4, &["a", "bcd", "ef"], "abcdefxy", "2=efxy |  | ");
    check("s213-3-first-of-equals", 4, &["ab", "cd"], "abcdx", "0=abx |  | ");
    check("s213-3-fits-nowhere", 4, &["abc", "def"], "abcdefxy", " | xy | ");
    check("s213-3-as-many-as-the-maximum", 3, &["a"], "axyz", " | xyz | ");
    check("s213-3-full-then-fitting", 3, &["ab"], "abwxyz", "0=abz | wxy | ");
    check("s213-3-nothing-there", 2, &[], "vwxyz", " | vw xy z | ");
    check("s213-3-empty-slices-are-not-filled-here", 3, &[""], "x", " | x | 0");
}

#[test]
fn s213_a_slice_longer_than_the_maximum_is_not_repacked() {
    check("s213-overlong", 2, &["abc"], "abc", " |  | ");
    check("s213-overlong-takes-no-more", 2, &["abc"], "aBcx", "0=aBc | x | ");
}

#[test]
fn s213_identity_is_address_hostname_and_target() {
    let base = json!({"addresses": ["10.0.0.1"], "hostname": "h", "targetRef": {"namespace": "n", "name": "p"}});
    let of = |patch: serde_json::Value| {
        let value = crate::fixture::merge(base.clone(), patch);
        Identity::of(&serde_json::from_value(value).expect("the fixture is an endpoint"))
    };
    let same = |id: &str, patch, expected: bool| assert_eq!(of(patch) == of(json!({})), expected, "{id}");
    same("s213-uid-may-change", json!({"targetRef": {"uid": "u2"}}), true);
    same("s213-node-may-change", json!({"nodeName": "n2", "zone": "z"}), true);
    same("s213-other-address", json!({"addresses": ["10.0.0.2"]}), false);
    same("s213-other-hostname", json!({"hostname": "i"}), false);
    same("s213-other-name", json!({"targetRef": {"name": "q"}}), false);
    same("s213-other-namespace", json!({"targetRef": {"namespace": "m"}}), false);
}
