//! An order in which everything comes after what it needs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Steps in an order in which each comes after those it uses, as far as that is possible, otherwise as written.
pub fn ranks(uses: &[Vec<usize>]) -> Vec<usize> {
    let mut ranks = vec![usize::MAX; uses.len()];
    let mut seen = vec![false; uses.len()];
    let mut next = 0;
    for start in 0..uses.len() {
        let mut path = vec![(start, 0)];
        while let Some((step, at)) = path.pop() {
            if at == 0 && std::mem::replace(&mut seen[step], true) {
                continue;
            }
            match uses[step].get(at) {
                Some(&used) => {
                    path.push((step, at + 1));
                    path.push((used, 0));
                }
                None => {
                    ranks[step] = next;
                    next += 1;
                }
            }
        }
    }
    ranks
}

/// The order, with the lowest index first where there is a choice; or a circle, each waiting for the next.
pub fn topological(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut followers = vec![Vec::new(); needs.len()];
    for (at, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|&need| followers[need].push(at));
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..needs.len())
        .filter(|&at| waiting[at] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::new();
    while let Some(Reverse(at)) = ready.pop() {
        order.push(at);
        for &follower in &followers[at] {
            waiting[follower] -= 1;
            if waiting[follower] == 0 {
                ready.push(Reverse(follower));
            }
        }
    }
    if order.len() == needs.len() {
        return Ok(order);
    }
    // Whatever still waits, waits for something that still waits.
    let mut place = vec![None; needs.len()];
    let mut path = Vec::new();
    let mut at = waiting.iter().position(|&count| count > 0).unwrap_or(0);
    loop {
        if let Some(start) = place[at] {
            path.push(at);
            return Err(path.split_off(start));
        }
        place[at] = Some(path.len());
        path.push(at);
        match needs[at].iter().find(|&&need| waiting[need] > 0) {
            Some(&need) => at = need,
            None => return Err(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_what_they_use_and_else_keep_their_order() {
        // 0 uses 2 and 3, 3 uses 1.
        assert_eq!(ranks(&[vec![2, 3], vec![], vec![], vec![1]]), [3, 1, 0, 2]);
    }

    #[test]
    fn a_circle_is_spelt_out() {
        assert_eq!(topological(&[vec![1], vec![], vec![0]]), Ok(vec![1, 0, 2]));
        assert_eq!(
            topological(&[vec![1], vec![2], vec![1], vec![]]),
            Err(vec![1, 2, 1])
        );
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let chain: Vec<Vec<usize>> = (0..100_000)
            .map(|at| if at < 99_999 { vec![at + 1] } else { vec![] })
            .collect();
        assert_eq!(ranks(&chain)[0], 99_999);
        assert_eq!(topological(&chain).expect("no circle")[0], 99_999);
    }
}
