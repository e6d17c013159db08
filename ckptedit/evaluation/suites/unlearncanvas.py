"""UnlearnCanvas: 50 styles and its plain photos, times 20 objects.

Zhang et al., NeurIPS 2024, https://arxiv.org/abs/2402.11846. Names, prompt, seeds and the lists of
requests are those of continual unlearning (Lee et al., ICLR 2026,
https://arxiv.org/abs/2511.07970), in the order of the classes of its two classifiers. Departs from
it: noise is a function of style, object and seed, not of the place in a loop; DPM-Solver++ draws in
20 steps, not 100 of PNDM; classifiers see the pictures as drawn, not as JPEG.
"""

from ckptedit.evaluation.suite import World

FRAME = "A {object} image in {style} style"
SEEDS = (188, 288, 588, 688, 888)
STYLES = """Abstractionism Artist_Sketch Blossom_Season Bricks Byzantine Cartoon Cold_Warm
Color_Fantasy Comic_Etch Crayon Cubism Dadaism Dapple Defoliation Early_Autumn Expressionism Fauvism
French Glowing_Sunset Gorgeous_Love Greenfield Impressionism Ink_Art Joy Liquid_Dreams Magic_Cube
Meta_Physics Meteor_Shower Monet Mosaic Neon_Lines On_Fire Pastel Pencil_Drawing Picasso Pop_Art
Red_Blue_Ink Rust Seed_Images Sketch Sponge_Dabbed Structuralism Superstring Surrealism Ukiyoe
Van_Gogh Vibrant_Flow Warm_Love Warm_Smear Watercolor Winter"""
OBJECTS = """Architectures Bears Birds Butterfly Cats Dogs Fishes Flame Flowers Frogs Horses Human
Jellyfish Rabbits Sandwiches Sea Statues Towers Trees Waterfalls"""
SETS = {  # in the order in which they are erased
    "unlearn-styles": """Abstractionism Byzantine Cartoon Cold_Warm Ukiyoe Van_Gogh Neon_Lines
        Picasso On_Fire Magic_Cube Winter Vibrant_Flow""",
    "retain-styles": """Blossom_Season Rust Crayon Fauvism Superstring Red_Blue_Ink Gorgeous_Love
        French Joy Greenfield Expressionism Impressionism""",
    "unlearn-objects": """Bears Birds Cats Dogs Fishes Frogs Jellyfish Rabbits Sandwiches Statues
        Towers Waterfalls""",
    "retain-objects": "Architectures Butterfly Flame Flowers Horses Human Sea Trees",
}


def unlearncanvas() -> World:
    return World(
        "unlearncanvas",
        tuple(STYLES.split()),
        tuple(OBJECTS.split()),
        frame=FRAME,
        published=SEEDS,
        seeds=len(SEEDS),
        companions=8,
        steps=20,
        guidance=9.0,
        sets={name: tuple(words.split()) for name, words in SETS.items()},
    )
