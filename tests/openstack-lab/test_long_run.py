# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of the long run, which began before the first test."""
import long_run


def test_five_minutes_with_tokens_of_one(cloud, steady, figures):
    steady.join(steady.seconds + 60)
    assert not steady.is_alive()
    # Ten builds at once can take longer than a token of a minute has left.
    cloud.set_token_life()
    cloud.spared.clear()
    cloud.clear()
    assert steady.failures == []
    figures.bar(f"{steady.runs} runs in {steady.seconds} s, tokens of {long_run.TOKEN_LIFE_S} s: authentications",
                steady.count() - steady.before, steady.lives + 1,
                peer=f"{steady.lives} lives; each renewed {long_run.TOKEN_LIFE_S // 4} s before its end; 0 runs failed")
